# The numbers of tests/test_outside_fits.py once more, in R: Rscript tests/outside_fits.R
# Packages: MASS, lme4, TOSTER, deming.
library(MASS); library(lme4); library(TOSTER); library(deming)
print(coef(rlm(calls ~ year, phones, maxit = 50)), digits = 10)
print(summary(lmer(Yield ~ 1 + (1 | Batch), Dyestuff)), digits = 10)
x <- c(0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4)
y <- c(5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5)
wx <- c(1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1)
wy <- c(1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500)
print(coef(deming(y ~ x, xstd = 1 / sqrt(wx), ystd = 1 / sqrt(wy))), digits = 10)
print(tsum_TOST(m1 = 5.25, sd1 = 0.95, n1 = 95, m2 = 5.22, sd2 = 0.83, n2 = 89,
                low_eqbound = -0.43, high_eqbound = 0.43, eqbound_type = "SMD"))
