"""The steps of the machine's boot, each run in a folder that stands for the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mediaserver.settings.model import load
from tests.deploy.programs import Programs
from tests.deploy.test_aws_boot import AWS, SETTINGS

STEPS = AWS / "steps"
_SYSTEMCTL = '[ "$1" != show ] || cat "$ETC/state"\n[ "$2" != is-enabled ] || exec [ -e "$ETC/enabled" ]'


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    programs = Programs(tmp_path / "bin")
    programs.add("systemctl", _SYSTEMCTL)
    programs.add("sleep")
    return programs


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    machine = {
        "ETC": str(tmp_path / "etc"),
        "STATE_FOLDER": str(tmp_path / "var"),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "INSTANCE": "i-1",
        "LOCAL_IP": "10.0.0.5",
    }
    return SETTINGS | machine


def succeeds(programs: Programs, name: str, environment: dict[str, str]) -> str:
    done = programs.run(STEPS / f"{name}.sh", environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestSettings:
    def test_the_server_understands_what_it_is_given(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "settings", environment)
        text = Path(environment["ETC"], "mediaserver/aws.env").read_text()
        given = load(environment=dict(line.split("=", 1) for line in text.splitlines()))
        assert [str(origin) for origin in given.allowed_origins] == [SETTINGS["ORIGIN"]]
        assert str(given.public_ip) == SETTINGS["PUBLIC_IP"]

    def test_media_use_the_machine_s_own_address_alone(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        """docker0 has an address, too: two candidates with one public address, one of which leads nowhere."""
        succeeds(programs, "settings", environment)
        assert (
            "MEDIASERVER_ICE_INTERFACES=10.0.0.5\n"
            in Path(environment["ETC"], "mediaserver/aws.env").read_text()
        )

    def test_nothing_is_reloaded_that_has_not_changed(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "settings", environment)
        assert programs.called("systemctl daemon-reload")
        programs.forget()
        Path(environment["ETC"], "enabled").touch()
        succeeds(programs, "settings", environment)
        # Enabling a unit reloads as well (systemctl(1), "enable").
        assert {call.split()[2] for call in programs.calls} == {"is-enabled"}
        succeeds(programs, "settings", environment | {"MAX_RUN_MINUTES": "60"})
        assert programs.called("systemctl daemon-reload")

    @pytest.mark.parametrize("state", ["active", "activating", "inactive", "failed"])
    def test_a_server_that_started_beside_it_takes_what_is_new(
        self, programs: Programs, environment: dict[str, str], state: str
    ) -> None:
        """At a later boot systemd starts the server before, or while, this script runs."""
        succeeds(programs, "settings", environment)
        Path(environment["ETC"], "state").write_text(state)
        restart = "systemctl --no-block restart mediaserver.service"
        assert restart not in programs.calls  # there is none yet
        Path(environment["ETC"], "systemd/system/mediaserver.service").touch()
        programs.forget()
        succeeds(programs, "settings", environment)
        assert restart not in programs.calls
        succeeds(programs, "settings", environment | {"ORIGIN": "https://d2.cloudfront.net"})
        assert (restart in programs.calls) == state.startswith("activ")

    def test_libraries_are_read_ahead_at_the_first_boot_already(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "settings", environment)
        assert "systemctl enable --now mediaserver-read-ahead.service" in programs.calls

    def test_the_machine_powers_itself_off_after_the_functions_should_have(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "settings", environment)
        units = Path(environment["ETC"], "systemd/system")
        assert "OnBootSec=485min" in (units / "mediaserver-max-run.timer.d/time.conf").read_text()
        assert "systemctl enable --now mediaserver-max-run.timer" in programs.calls


class TestDocker:
    def test_the_driver_of_cgroups_is_one_that_no_reload_touches(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        file = Path(environment["ETC"], "docker/daemon.json")
        file.parent.mkdir(parents=True)
        before = {
            "runtimes": {"nvidia": {"path": "x"}},
            "exec-opts": ["native.cgroupdriver=systemd", "other=1"],
        }
        file.write_text(json.dumps(before))
        succeeds(programs, "docker", environment)
        after = json.loads(file.read_text())
        assert after["exec-opts"] == ["other=1", "native.cgroupdriver=cgroupfs"]
        assert after["runtimes"] == before["runtimes"]
        assert programs.calls == ["systemctl restart docker"]

    def test_docker_is_not_restarted_without_need(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "docker", environment)
        programs.forget()
        succeeds(programs, "docker", environment)
        assert programs.calls == []


class TestPackages:
    def test_waits_for_the_lock_of_the_lists(self, programs: Programs, environment: dict[str, str]) -> None:
        """``DPkg::Lock::Timeout`` is not for it: apt-get update fails at once while another one runs."""
        programs.add("dpkg-query", "exit 1")
        programs.add(
            "apt-get",
            'if [ "$1" = update ]; then n=$(cat "$ETC.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$ETC.n"; '
            '[ "$n" -ge 3 ] || { echo "E: Could not get lock /var/lib/apt/lists/lock" >&2; exit 100; }; fi',
        )
        succeeds(programs, "packages", environment)
        assert len(programs.called("apt-get update")) == 4
        assert len(programs.called("apt-get -o")) == 1

    def test_but_not_for_ever(self, programs: Programs, environment: dict[str, str]) -> None:
        programs.add("dpkg-query", "exit 1")
        programs.add("apt-get", "exit 100")
        assert programs.run(STEPS / "packages.sh", environment=environment).returncode != 0
        assert len(programs.called("apt-get update")) == 60

    def test_asks_nobody_where_all_is_there(self, programs: Programs, environment: dict[str, str]) -> None:
        programs.add("docker")
        programs.add("dpkg-query", "for each in 1 2 3 4 5; do echo install ok installed; done")
        programs.add("apt-get", "exit 1")
        succeeds(programs, "packages", environment)
        assert not programs.called("apt-get")

    @pytest.mark.parametrize("has_compose", [True, False])
    def test_compose_comes_where_docker_has_none(
        self, programs: Programs, environment: dict[str, str], has_compose: bool
    ) -> None:
        """triton.service runs it; Docker's own packages only recommend it."""
        programs.add("docker", f"[ {int(has_compose)} = 1 ]")
        programs.add("dpkg-query", "exit 1")
        programs.add("apt-get")
        succeeds(programs, "packages", environment)
        (installed,) = programs.called("apt-get -o")
        assert ("docker-compose-v2" in installed) is not has_compose

    @pytest.mark.skipif(shutil.which("apt-get") is None, reason="this is no Debian")
    def test_apt_s_time_out_really_does_not_cover_the_lists(self, tmp_path: Path) -> None:
        """The reason for the loop: should apt wait one day, this fails and the loop may go."""
        lists = tmp_path / "lists"
        (lists / "partial").mkdir(parents=True)
        sources = tmp_path / "sources.list"
        sources.touch()
        lock = (
            "import fcntl, sys, time\n"
            f"file = open({str(lists / 'lock')!r}, 'w')\n"
            "fcntl.lockf(file, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n"
        )
        with subprocess.Popen(
            ["python3", "-c", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            options = {
                "DPkg::Lock::Timeout": "600",
                "Dir::State::lists": str(lists),
                "Dir::Etc::sourcelist": str(sources),
                "Dir::Etc::sourceparts": "-",
            }
            command = ["apt-get", *(f"-o{name}={value}" for name, value in options.items()), "update"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            holder.communicate()
        assert done.returncode != 0
        assert "lock" in done.stderr


class TestCertificate:
    """Kept in a secret from one machine to the next: Let's Encrypt gives five a week for the same names."""

    @pytest.fixture(autouse=True)
    def _world(self, tmp_path: Path, programs: Programs) -> None:
        secret = tmp_path / "secret"
        programs.add(
            "aws",
            f'case "$2" in get-secret-value) cat "{secret}" ;;\n'
            # As the real one, it wants to know the region.
            'put-secret-value) last=${@: -1}; [ "$4" = eu-central-1 ] &&'
            f'cp "${{last#file://}}" "{secret}" ;; esac',
        )
        # As certbot lays it out: live/NAME/*.pem are links into archive/NAME.
        programs.add(
            "certbot",
            """
            folder=$ETC/letsencrypt; live=$folder/live/$DOMAIN; archive=$folder/archive/$DOMAIN
            [ ! -e "$live/fullchain.pem" ] || exit 0
            mkdir -p "$live" "$archive" "$folder/renewal" "$folder/accounts/acme-v02"
            server=acme-v02; case "$*" in *--staging*) server=acme-staging-v02 ;; esac
            echo "server = https://$server.example/directory" >"$folder/renewal/$DOMAIN.conf"
            echo old >"$archive/fullchain1.pem"; echo "certificate $RANDOM" >"$archive/fullchain2.pem"
            ln -s "../../archive/$DOMAIN/fullchain2.pem" "$live/fullchain.pem"
            while [ $# -gt 0 ]; do [ "$1" != --deploy-hook ] || eval "$2"; shift; done
            """,
        )

    def certificate(self, environment: dict[str, str]) -> str:
        return Path(environment["ETC"], "letsencrypt/live", SETTINGS["DOMAIN"], "fullchain.pem").read_text()

    def asked(self, programs: Programs) -> list[str]:
        return programs.called("aws secretsmanager put-secret-value")

    def test_a_new_machine_takes_that_of_the_one_before(
        self, programs: Programs, environment: dict[str, str], tmp_path: Path
    ) -> None:
        succeeds(programs, "certificate", environment)
        first = self.certificate(environment)
        assert len(self.asked(programs)) == 1
        second_machine = environment | {"ETC": str(tmp_path / "etc2")}
        Path(second_machine["ETC"]).mkdir()
        succeeds(programs, "certificate", second_machine)
        assert self.certificate(second_machine) == first
        # No new one was made, so none was kept.
        assert len(self.asked(programs)) == 1
        assert not Path(
            second_machine["ETC"], "letsencrypt/archive", SETTINGS["DOMAIN"], "fullchain1.pem"
        ).exists()

    def test_one_of_the_staging_service_is_none_for_production(
        self, programs: Programs, environment: dict[str, str], tmp_path: Path
    ) -> None:
        succeeds(programs, "certificate", environment | {"ACME_STAGING": "true"})
        assert "--staging" in programs.called("certbot")[-1]
        succeeds(programs, "certificate", environment)
        assert "--staging" not in programs.called("certbot")[-1]
        assert len(self.asked(programs)) == 2

    def test_it_fits_into_a_secret_after_years_of_renewals(
        self, programs: Programs, environment: dict[str, str], tmp_path: Path
    ) -> None:
        succeeds(programs, "certificate", environment)
        archive = Path(environment["ETC"], "letsencrypt/archive", SETTINGS["DOMAIN"])
        for number in range(50):
            (archive / f"privkey{number}.pem").write_bytes(os.urandom(4000))
        hook = programs.run(
            AWS / "keep-certificate.sh", SETTINGS["CERTIFICATE_SECRET"], environment=environment
        )
        assert hook.returncode == 0, hook.stderr
        assert (tmp_path / "secret").stat().st_size < 64 * 1024


class TestModels:
    def test_the_bucket_s_models_are_installed_and_only_when_they_change(
        self, programs: Programs, environment: dict[str, str], tmp_path: Path
    ) -> None:
        programs.add(
            "aws",
            '[ -e "$STATE_FOLDER/models/detect.onnx" ] || echo model >"$STATE_FOLDER/models/detect.onnx"',
        )
        programs.add("installer")
        environment |= {"INSTALLER": str(programs.folder / "installer")}
        succeeds(programs, "models", environment)
        succeeds(programs, "install", environment)
        (call,) = programs.called("installer")
        assert f"--models {tmp_path / 'var/models'}" in call
        succeeds(programs, "models", environment)
        succeeds(programs, "install", environment)
        assert len(programs.called("installer")) == 1
        (tmp_path / "var/models/detect.onnx").write_text("another")
        programs.add("aws", 'echo pose >"$STATE_FOLDER/models/pose.onnx"')
        succeeds(programs, "models", environment)
        succeeds(programs, "install", environment)
        assert len(programs.called("installer")) == 2

    def test_without_any_the_built_in_ones_are_taken(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        programs.add("aws")
        programs.add("installer")
        environment |= {"INSTALLER": str(programs.folder / "installer")}
        succeeds(programs, "models", environment)
        succeeds(programs, "install", environment)
        (call,) = programs.called("installer")
        assert "--models" not in call


class TestInstall:
    @pytest.fixture(autouse=True)
    def _installer(self, programs: Programs, environment: dict[str, str]) -> None:
        programs.add("installer", '[ ! -e "$ETC/broken" ]')
        environment["INSTALLER"] = str(programs.folder / "installer")

    def test_the_installer_is_told_what_the_stack_says(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        succeeds(programs, "install", environment)
        (call,) = programs.called("installer")
        assert call == "installer --domain gpu.example.org --udp-range 49152-65535 --flavour onnx"

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"SOURCE_SHA256": "2" * 64},
            {"UDP_RANGE": "50000-50100"},
            {"FLAVOUR": "tensorrt"},
            {"DOMAIN": "gpu2.example.org"},
        ],
        ids=lambda change: "".join(change) or "nothing",
    )
    def test_what_is_new_is_installed_and_nothing_else(
        self, programs: Programs, environment: dict[str, str], change: dict[str, str]
    ) -> None:
        succeeds(programs, "install", environment)
        programs.forget()
        succeeds(programs, "install", environment | change)
        assert bool(programs.called("installer")) is bool(change)

    def test_what_failed_is_tried_again(self, programs: Programs, environment: dict[str, str]) -> None:
        broken = Path(environment["ETC"], "broken")
        broken.parent.mkdir(parents=True)
        broken.touch()
        assert programs.run(STEPS / "install.sh", environment=environment).returncode != 0
        broken.unlink()
        succeeds(programs, "install", environment)
        assert len(programs.called("installer")) == 2

    def test_nginx_gets_the_site_of_another_name(
        self, programs: Programs, environment: dict[str, str]
    ) -> None:
        """The installer leaves a site that is there as it is."""
        site = Path(environment["ETC"], "nginx/conf.d/mediaserver.conf")
        site.parent.mkdir(parents=True)
        nginx = (AWS.parents[1] / "deploy/nginx/mediaserver.conf").read_text()
        site.write_text(nginx.replace("media.example.org", SETTINGS["DOMAIN"]))
        succeeds(programs, "install", environment)
        assert site.exists()
        succeeds(programs, "install", environment | {"DOMAIN": "gpu2.example.org"})
        assert not site.exists()


def test_the_options_of_the_installer_are_its_own() -> None:
    told = subprocess.run(
        [AWS.parents[1] / "deploy/systemd/install.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in ("--domain", "--udp-range", "--flavour", "--models"):
        assert option in (STEPS / "install.sh").read_text()
        assert option in told


def test_keys_reach_the_server_without_those_who_are_shut_out(programs: Programs, tmp_path: Path) -> None:
    secret = {"k1": "a" * 40, "revoked": {"ada": 1}}
    programs.add("aws", f"echo '{json.dumps(secret)}'")
    file = tmp_path / "env"
    done = programs.run(AWS / "fetch-keys.sh", "arn:keys", file, environment={})
    assert done.returncode == 0, done.stderr
    assert file.read_text() == f"MEDIASERVER_TOKEN_KEYS='{json.dumps({'k1': 'a' * 40})}'\n"
    assert file.stat().st_mode & 0o077 == 0


class TestAgent:
    CONFIG = json.loads((AWS / "cloudwatch-agent.json").read_text())

    def test_the_logs_are_there_when_the_machine_is_off(self) -> None:
        files = self.CONFIG["logs"]["logs_collected"]["files"]["collect_list"]
        assert {file["log_group_name"] for file in files} == {"@LOG_GROUP@"}
        assert "/var/log/mediaserver-boot.log" in {file["file_path"] for file in files}
        assert "/var/log/mediaserver-boot.log" in (AWS / "template.yaml").read_text()

    def test_its_metrics_are_in_the_one_namespace_that_the_role_may_write(self) -> None:
        assert self.CONFIG["metrics"]["namespace"] == "Mediaserver"
        assert "utilization_gpu" in self.CONFIG["metrics"]["metrics_collected"]["nvidia_gpu"]["measurement"]
