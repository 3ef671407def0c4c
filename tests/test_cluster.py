"""The cluster's files are what their readers take, and its two commands say what is wrong and what to do."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import yaml

from cluster import check, look, submit

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster"
FIT = look.Seen(
    host="one",
    versions={"python": "3.11.9", "ray": "2.60.0", "torch": "2.15.0"},
    import_errors=(),
    gpus=((78.0, 80.0),),
    image_sets=("digits", "letters"),
    data_error="",
    results_error="",
    scratch="/scratch",
    scratch_gib=90.0,
    clock=0.0,
)


def load(name: str) -> Any:
    return yaml.safe_load((CLUSTER / name).read_text())


def test_aws_is_what_ray_up_takes() -> None:
    import jsonschema
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    config = load("aws.yaml")
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "head_node_typ": "head"}, schema)


def test_aws_keeps_work_off_the_head_and_the_dashboard_off_the_network() -> None:
    config = load("aws.yaml")
    head, gpu = config["available_node_types"]["head"], config["available_node_types"]["gpu"]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert all(each["node_config"]["SecurityGroupIds"] for each in (head, gpu))
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}


def test_kuberay_asks_for_a_token_and_leaves_the_driver_on_a_head_without_work() -> None:
    job = load("kuberay.yaml")
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert not [key for key in spec if key.startswith("entrypointNum")]
    assert spec["shutdownAfterJobFinishes"]


@pytest.mark.parametrize("group", ["head", "worker"])
def test_kuberay_pods_have_shared_memory_and_no_rights(group: str) -> None:
    cluster = load("kuberay.yaml")["spec"]["rayClusterSpec"]
    template = (cluster["headGroupSpec"] if group == "head" else cluster["workerGroupSpecs"][0])["template"]["spec"]
    (container,) = template["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume["emptyDir"] for volume in template["volumes"]}
    assert mounts["shm"] == "/dev/shm"  # noqa: S108 no file of ours
    assert volumes["shm"]["medium"] == "Memory"
    assert mounts.keys() == volumes.keys()
    assert template["securityContext"]["runAsNonRoot"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["resources"]["requests"] == container["resources"]["limits"]


def test_ray_of_the_files_is_the_ray_that_was_tested() -> None:
    import ray

    assert load("kuberay.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == ray.__version__
    assert f"ray=={ray.__version__}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_slurm_is_a_shell_script_that_takes_its_token_away() -> None:
    file = CLUSTER / "slurm.sh"
    done = subprocess.run(["bash", "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = file.read_text()
    assert "umask 077" in text
    assert "trap 'rm -f \"$RAY_AUTH_TOKEN_PATH\"' EXIT" in text


def test_dockerfile_copies_what_is_there_and_runs_as_no_root() -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert sources
    assert not [name for name in sources if not (ROOT / name).exists()]
    assert text.rstrip().endswith("USER ray")


def test_runtime_env_is_what_ray_takes_and_keeps_no_secret() -> None:
    from ray.runtime_env import RuntimeEnv

    runtime_env = load("runtime_env.yaml")
    assert RuntimeEnv(**runtime_env).to_dict() == runtime_env
    assert not [name for name in runtime_env["env_vars"] if "TOKEN" in name or "SECRET" in name or "KEY" in name]


@pytest.mark.parametrize(
    "name", ["Dockerfile", "aws.yaml", "check.py", "kuberay.yaml", "runtime_env.yaml", "slurm.sh", "submit.py"]
)
def test_every_file_opens_with_the_command_that_uses_it(name: str) -> None:
    opening = "\n".join((CLUSTER / name).read_text().splitlines()[:16])
    assert re.search(r"(Use\b.*:|::)", opening)
    assert re.search(r"docker build|ray up|kubectl apply|python -m cluster\.|sbatch", opening)


def test_the_submitted_command_is_plain_and_names_the_commit() -> None:
    command = submit.plain_command("http://head:8265", "abc", ["ood", "--results", "s3://bucket/results"])
    assert command[:5] == ["ray", "job", "submit", "--address", "http://head:8265"]
    assert command[-6:] == ["python", "-m", "studies", "ood", "--results", "s3://bucket/results"]
    runtime_env = json.loads(command[command.index("--runtime-env-json") + 1])
    assert runtime_env["env_vars"]["CLOSERLOOK_COMMIT"] == "abc"


def test_uncommitted_changes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(submit, "ROOT", tmp_path)
    assert submit.commit() == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    clean = submit.commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    assert capsys.readouterr().err == ""
    (tmp_path / "new.py").touch()
    assert submit.commit() == f"{clean}-changed"
    assert f"1 files differ from commit {clean[:12]}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["all", "--data", "images"], ["ood", "--results=out"]])
def test_a_folder_of_this_computer_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(["--", *arguments]) == 2
    assert "Give an absolute path that every node sees" in capsys.readouterr().err


def test_submitting_to_nobody_says_how_to_get_a_cluster() -> None:
    asked = ("--address", "http://127.0.0.1:9", "--", "ood", "--results", "/results")
    done = command("cluster.submit", *asked, RAY_AUTH_TOKEN="0" * 64)
    assert done.returncode == 2
    assert "error: No Ray cluster answers at http://127.0.0.1:9. Start one here (ray start --head)" in done.stderr
    assert "Traceback" not in done.stderr


def command(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done


def test_check_finds_this_computer_fit_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    small.world(data)
    done = command("cluster.check", "--data", str(data), "--results", str(results), HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Fit: 1 of 1 nodes." in done.stdout
    assert "3 sets" in done.stdout
    assert list(results.iterdir()) == []
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600


def test_check_with_a_token_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    done = command("cluster.check", "--data", none, "--results", str(tmp_path), RAY_AUTH_TOKEN_PATH=none)
    assert done.returncode == 2
    assert "error: Ray does not start on this computer" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_without_a_place_to_write_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert check.main(["--data", str(tmp_path), "--results", str(tmp_path / "file" / "results")]) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_look_sees_what_is_there(tmp_path: Path) -> None:
    small.world(tmp_path / "data")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".mark").touch()
    seen = look.look(str(tmp_path / "data"), str(tmp_path / "results"), ".mark")
    assert seen.image_sets == ("colours", "colours-shift", "greys")
    assert (seen.import_errors, seen.data_error, seen.results_error) == ((), "", "")
    assert seen.versions["python"] == sys.version.split()[0]
    assert [file.name for file in (tmp_path / "results").iterdir()] == [".mark"]


def test_look_names_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    seen = look.look(str(tmp_path / "data"), str(tmp_path), ".mark")
    assert seen.data_error == f"no image set in {tmp_path / 'data'}"
    assert seen.results_error == f"{tmp_path} is another folder there than for the driver"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"versions": {**FIT.versions, "torch": "2.14.0"}}, "torch is 2.14.0, for the driver it is 2.15.0"),
        ({"versions": {**FIT.versions, "torch": ""}}, "torch is absent"),
        ({"import_errors": ("timm: ImportError: no",)}, "cannot import timm"),
        ({"gpus": ()}, "Ray counts 1 GPUs, torch sees 0"),
        ({"gpus": ((3.0, 80.0),)}, "GPU 0 has 3 of 80 GiB free"),
        ({"data_error": "PermissionError: no"}, "DATA cannot be read (PermissionError: no)"),
        ({"image_sets": ("digits",)}, "DATA holds 1 image sets there, 2 for the driver"),
        ({"results_error": "OSError: full"}, "RESULTS cannot be used (OSError: full)"),
        ({"scratch_gib": 1.0}, "/scratch has 1.0 GiB free"),
    ],
)
def test_each_problem_has_a_sentence_and_a_next_step(change: dict[str, Any], problem: str) -> None:
    (sentence,) = check.problems(check.Node("10.0.0.2", 1, replace(FIT, **change)), FIT)
    assert sentence.startswith(f"10.0.0.2: {problem}")
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (lambda: check.Node("10.0.0.2", 1, FIT, clock_off=90.0), "clock off by 90 s"),
        (lambda: check.Node("10.0.0.2", 1, None, "GetTimeoutError: late"), "no answer (GetTimeoutError: late)"),
    ],
)
def test_a_late_or_silent_node_is_named(node: Callable[[], check.Node], problem: str) -> None:
    (sentence,) = check.problems(node(), FIT)
    assert sentence.startswith(f"10.0.0.2: {problem}")
    assert "10.0.0.2" in check.table([node()])


def test_a_fit_node_has_no_problem() -> None:
    assert list(check.problems(check.Node("10.0.0.2", 1, FIT), FIT)) == []
