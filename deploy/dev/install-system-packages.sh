#!/usr/bin/env bash
# Installs Debian packages where that can be done without asking: as root, or with passwordless sudo.
# Without arguments: what the tests use beyond Python. Never fails for want of rights: those tests skip.
set -euo pipefail
packages=("$@")
if [ ${#packages[@]} -eq 0 ]; then
  packages=(
    chromium coturn firefox-esr iproute2 nginx nodejs prometheus
    gir1.2-gst-plugins-bad-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-nice gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-tools
    python3-gi simple-whip-client webkit2gtk-driver xvfb
  )
fi

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$'; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "not installed, as there is no apt-get: ${missing[*]}" >&2
  exit 0
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "not installed, as this needs root: apt-get install ${missing[*]}" >&2
    exit 0
  fi
  sudo=(sudo -n)
fi
echo "Installing system packages that tests use, with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update --quiet=2 || echo "apt-get update failed; trying with the lists there are" >&2
"${sudo[@]}" apt-get install --quiet=2 --no-install-recommends --yes "${missing[@]}" >/dev/null \
  || echo "could not be installed: ${missing[*]}" >&2
