# The fits of analysis/ once more, in R: Rscript tests/outside_fits.R tests/outside_fits.csv > tests/outside_fits.json
# Packages, all of Debian's: MASS, nlme, lme4, sandwich, lmtest, jsonlite. The draws of the bootstraps are R's own.
suppressPackageStartupMessages({
  library(MASS); library(nlme); library(lme4); library(sandwich); library(lmtest); library(jsonlite)
})
grid <- read.csv(commandArgs(trailingOnly = TRUE)[1])
grid$logit_x <- qlogis(grid$x)
grid$logit_y <- qlogis(grid$y)
lineages <- sort(unique(grid$lineage))
found <- list()
put <- function(name, ...) {
  values <- c(...)
  names(values) <- paste(name, names(values), sep = ".")
  found <<- c(found, as.list(values))
}

# --- least squares; sandwich's HC3 with clusters is the jackknife over them, without its correction of finite clusters
cv3 <- function(model, data) vcovCL(model, cluster = data$lineage, type = "HC3", cadjust = FALSE)
by_t <- function(model, data, term, df = length(unique(data$lineage)) - 1) {
  tested <- coeftest(model, vcov. = cv3(model, data), df = df)[term, ]
  span <- coefci(model, parm = term, vcov. = cv3(model, data), df = df)
  c(estimate = tested[[1]], std_error = tested[[2]], p = tested[[4]], low = span[[1]], high = span[[2]])
}
# Degrees of freedom of a contrast: the eigenvalues of the jackknife's quadratic form where a lineage shares half.
satterthwaite <- function(model, data, term) {
  design <- model.matrix(model)
  pull <- function(rows) {
    taken <- matrix(0, ncol(design), nrow(design))
    taken[, rows] <- solve(crossprod(design[rows, , drop = FALSE]), t(design[rows, , drop = FALSE]))
    taken[colnames(design) == term, ]
  }
  away <- sapply(unique(data$lineage), function(name) pull(which(data$lineage != name))) - pull(seq_len(nrow(data)))
  shared <- diag(nrow(data)) + outer(data$lineage, data$lineage, "==")
  root <- eigen(t(away) %*% shared %*% away, symmetric = TRUE, only.values = TRUE)$values
  sum(root)^2 / sum(root^2)
}

put("slope", by_t(lm(y ~ x, grid), grid, "x"))
put("slope_within", by_t(lm(y ~ x + source, grid), grid, "x"))
put("slope_given", by_t(lm(y ~ x + z, grid), grid, "x"))
put("slope_logit", by_t(lm(logit_y ~ logit_x, grid), grid, "logit_x"))
grid$probit_x <- qnorm(grid$x)
grid$probit_y <- qnorm(grid$y)
put("slope_probit", by_t(lm(probit_y ~ probit_x, grid), grid, "probit_x"))
two <- subset(grid, source %in% c("a", "b"))
two$first <- as.numeric(two$source == "a")
put("slope_difference", by_t(lm(y ~ x * first, two), two, "x:first"))
put("mean", by_t(lm(y ~ 1, grid), grid, "(Intercept)"))
grid$first <- as.numeric(grid$source == "a")
for (given in c(FALSE, TRUE)) {
  model <- if (given) lm(y ~ first + z, grid) else lm(y ~ first, grid)
  df <- satterthwaite(model, grid, "first")
  put(if (given) "contrast_given" else "contrast", c(by_t(model, grid, "first", df), df = df))
}
line <- lm(y ~ x, grid)
places <- cbind(1, c(0.4, 0.6, 0.8))
at <- as.vector(places %*% coef(line))
reach <- qt(0.975, length(lineages) - 1) * sqrt(rowSums((places %*% cv3(line, grid)) * places))
put("band", low = at - reach, high = at + reach)

# --- correlations
fisher <- cor.test(grid$x, grid$y)
put("fisher", estimate = fisher$estimate[[1]], low = fisher$conf.int[1], high = fisher$conf.int[2])
for (kind in c("pearson", "spearman", "kendall")) put(kind, estimate = cor(grid$x, grid$y, method = kind))
ranked <- transform(grid, x = rank(x), y = rank(y))
put("pearson", p = by_t(lm(y ~ x, grid), grid, "x")[["p"]])
put("spearman", p = by_t(lm(y ~ x, ranked), ranked, "x")[["p"]])
left <- lapply(grid[c("x", "y")], function(column) column - ave(column, grid$source))
put("pearson_within", estimate = cor(left$x, left$y))

# --- numbers with the jackknife over lineages around the number itself
jackknifed <- function(statistic, back = identity) {
  whole <- statistic(grid)
  without <- sapply(lineages, function(name) statistic(subset(grid, lineage != name)))
  g <- length(lineages)
  error <- sqrt((g - 1) / g * sum((without - whole)^2))
  reach <- qt(0.975, g - 1) * error
  c(estimate = back(whole), low = back(whole - reach), high = back(whole + reach),
    p = 2 * pt(-abs(whole / error), g - 1))
}
partial <- function(formula) function(data) {
  atanh(cor(resid(lm(update(x ~ ., formula), data)), resid(lm(update(y ~ ., formula), data))))
}
put("partial_correlation", jackknifed(partial(~ z + source), tanh))
# York's line is where the derivative of its likelihood is zero, the intercept being at its best.
york <- function(data) {
  level <- function(b) {
    w <- 1 / (data$y_std_error^2 + b^2 * data$x_std_error^2)
    a <- weighted.mean(data$y - b * data$x, w)
    r <- data$y - a - b * data$x
    c(gradient = sum(w * r * data$x + b * w^2 * r^2 * data$x_std_error^2), intercept = a)
  }
  b <- uniroot(function(b) level(b)[["gradient"]], c(0.05, 3), tol = 1e-15, maxiter = 10000)$root
  c(slope = b, intercept = level(b)[["intercept"]])
}
put("york", intercept = york(grid)[["intercept"]], jackknifed(function(data) york(data)[["slope"]]))
put("corrected_slope",
    jackknifed(function(data) cov(data$x, data$y) / (var(data$x) - mean(data$x_std_error^2))))

# --- robust lines
# rlm takes the median absolute residual over 0.6745, rounded; k takes the rounding back.
robust <- function(formula, data) rlm(formula, data, k = 1.345 * 0.6745 / qnorm(0.75), maxit = 2000, acc = 1e-13)
put("huber", estimate = coef(robust(y ~ x, grid))[["x"]])
put("huber_logit", estimate = coef(robust(logit_y ~ logit_x, grid))[["logit_x"]])
phones_line <- coef(robust(calls ~ year, as.data.frame(phones)))
put("phones", slope = phones_line[["year"]], intercept = phones_line[[1]])
above <- with(subset(grid, source == "a"), {
  y - plogis(predict(robust(logit_y ~ logit_x, subset(grid, source != "a")), data.frame(logit_x = logit_x)))
})
put("effective_robustness", estimate = mean(above), first = above[[1]])

# --- mixed models, restricted maximum likelihood; nlme and lme4 must agree with each other first
tight <- lmerControl(optimizer = function(fn, par, lower, upper, control) {
  best <- optimize(fn, c(0, 10), tol = 1e-12)
  list(par = best$minimum, fval = best$objective, conv = 0, message = "")
})
mixed <- lmer(y ~ x + (1 | lineage), grid, control = tight)
other <- lme(y ~ x, grid, random = ~ 1 | lineage, control = lmeControl(tolerance = 1e-12, msTol = 1e-12))
stopifnot(abs(fixef(mixed) - fixef(other)) < 1e-6)
put("mixed", estimate = fixef(mixed)[["x"]], std_error = sqrt(vcov(mixed)["x", "x"]))
put("dyestuff", {
  model <- lmer(Yield ~ 1 + (1 | Batch), Dyestuff, control = tight)
  parts <- as.data.frame(VarCorr(model))$vcov
  c(estimate = fixef(model)[[1]], std_error = sqrt(vcov(model)[1, 1]), among = parts[1], within = parts[2])
})

# --- pairs and equivalence, a lineage for each model: R's own t tests
single <- grid[!duplicated(grid$lineage), ]
paired <- t.test(single$y, single$x, paired = TRUE)
put("change", estimate = paired$estimate[[1]], low = paired$conf.int[1], high = paired$conf.int[2], p = paired$p.value)
won <- t.test(sign(single$y - single$x) / 2)
put("wins", estimate = won$estimate[[1]], low = won$conf.int[1], high = won$conf.int[2], p = won$p.value)
sides <- c(t.test(single$y - single$x, mu = -0.1, alternative = "greater")$p.value,
           t.test(single$y - single$x, mu = 0.1, alternative = "less")$p.value)
narrow <- t.test(single$y, single$x, paired = TRUE, conf.level = 0.9)$conf.int
put("equivalent", p = max(sides), low = narrow[1], high = narrow[2])
power <- function(...) power.t.test(..., power = 0.8, type = "one.sample", tol = 1e-13)
put("detectable", of_8 = power(n = 8)$delta, of_30 = power(n = 30, sig.level = 0.0025)$delta)
put("lineages_needed", lineages = ceiling(power(delta = 0.5)$n))

# --- families of tests
p_values <- c(0.001, 0.04, 0.03, 0.2, 0.0004, 0.03, 0.6)
put("holm", as.list(setNames(p.adjust(p_values, "holm"), seq_along(p_values))))
put("benjamini_hochberg", as.list(setNames(p.adjust(p_values, "BH"), seq_along(p_values))))

# --- bootstraps over lineages, 20,000 draws of R's own: equal up to chance
drawn <- function(statistic, images = FALSE, lineages_too = TRUE) {
  set.seed(1)
  rows <- split(seq_len(nrow(grid)), grid$lineage)
  replicate(20000, {
    data <- if (lineages_too) grid[unlist(sample(rows, replace = TRUE)), ] else grid
    if (images) {
      # A model that is drawn twice is the same model: its measurement moves once.
      data$x <- data$x + (rnorm(nrow(grid)) * grid$x_std_error)[match(data$model, grid$model)]
      data$y <- data$y + (rnorm(nrow(grid)) * grid$y_std_error)[match(data$model, grid$model)]
    }
    statistic(data)
  })
}
expanded <- function(values) {
  reach <- sqrt(length(lineages) / (length(lineages) - 1)) * qt(0.975, length(lineages) - 1)
  span <- quantile(values, pnorm(c(-reach, reach)), names = FALSE, na.rm = TRUE)
  c(std_error = sd(values), low = span[1], high = span[2])
}
common <- function(data) {
  within <- lapply(data[c("x", "y")], function(column) column - ave(column, data$source))
  sum(within$x * within$y) / sum(within$x^2)
}
pooled <- function(data) cov(data$x, data$y) / var(data$x)
put("drawn_pearson", expanded(drawn(function(data) cor(data$x, data$y))))
put("drawn_pooled_minus_within", expanded(drawn(function(data) pooled(data) - common(data))))
put("pooled_minus_within", estimate = pooled(grid) - common(grid))
put("drawn_over", both = sd(drawn(pooled, images = TRUE)), images = sd(drawn(pooled, images = TRUE, lineages_too = FALSE)))

used <- c("MASS", "nlme", "lme4", "sandwich", "lmtest")
versions <- sapply(used, function(name) as.character(packageVersion(name)))
cat(toJSON(list(R = paste(R.version$major, R.version$minor, sep = "."), packages = as.list(versions), numbers = found),
           auto_unbox = TRUE, digits = NA, pretty = TRUE), "\n")
