#!/bin/bash
# With systemd as the driver of its cgroups, a daemon-reload may take the GPU from a running container
# (NVIDIA/nvidia-docker#1730). With cgroupfs it does not.
set -euo pipefail
file=${ETC:-/etc}/docker/daemon.json
mkdir -p "$(dirname "$file")"
python3 - "$file" <<'END' || exit 1
import json
import pathlib
import sys

file = pathlib.Path(sys.argv[1])
settings = json.loads(file.read_text()) if file.exists() and file.read_text().strip() else {}
others = [option for option in settings.get("exec-opts", []) if not option.startswith("native.cgroupdriver=")]
wanted = settings | {"exec-opts": [*others, "native.cgroupdriver=cgroupfs"]}
if wanted != settings:
    file.write_text(json.dumps(wanted, indent=4) + "\n")
    (file.parent / "daemon.json.changed").touch()
END
if [ -e "$file.changed" ]; then
    systemctl restart docker
    rm "$file.changed"
fi
