#!/bin/bash
# The machine's first boot: settings, certificate, units. Everything after that is systemd's. Safe to repeat.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

domain='' email='' keys='' origin='' public_ip='' udp_range='' max_run_minutes=''
while [ $# -gt 0 ]; do
    case $1 in
        --domain) domain=$2 ;;
        --email) email=$2 ;;
        --keys) keys=$2 ;;
        --origin) origin=$2 ;;
        --public-ip) public_ip=$2 ;;
        --udp-range) udp_range=$2 ;;
        --max-run-minutes) max_run_minutes=$2 ;;
        *)
            echo "first-boot.sh: unknown option $1" >&2
            exit 2
            ;;
    esac
    shift 2
done
for name in domain email keys origin public_ip udp_range max_run_minutes; do
    if [ -z "${!name}" ]; then
        echo "first-boot.sh: --${name//_/-} is needed" >&2
        exit 2
    fi
done

# First of all: whatever fails below, the machine powers itself off in the end.
units=/etc/systemd/system
install -m 644 "$here"/systemd/mediaserver-*.service "$here"/systemd/mediaserver-max-run.timer "$units"
install -d "$units/mediaserver-max-run.timer.d" "$units/mediaserver.service.d"
# Five minutes after the functions should have stopped it.
printf '[Timer]\nOnBootSec=%dmin\n' $((max_run_minutes + 5)) >"$units/mediaserver-max-run.timer.d/time.conf"
install -m 644 "$here/systemd/mediaserver.conf" "$units/mediaserver.service.d/aws.conf"
systemctl daemon-reload
systemctl enable --now mediaserver-max-run.timer

# IMDSv2: a token first.
metadata=http://169.254.169.254/latest
token=$(curl -fsS -X PUT "$metadata/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
instance=$(curl -fsS "$metadata/meta-data/instance-id" -H "X-aws-ec2-metadata-token: $token")

install -d -m 755 /etc/mediaserver
cat >/etc/mediaserver/aws.env <<END
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
KEYS_SECRET=$keys
MEDIASERVER_ALLOWED_ORIGINS=$origin
MEDIASERVER_PUBLIC_IP=$public_ip
HEARTBEAT_INSTANCE=$instance
END

export DEBIAN_FRONTEND=noninteractive
# Ubuntu updates itself at boot, too.
apt-get -o DPkg::Lock::Timeout=600 update
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends nginx python3-venv certbot python3-certbot-dns-route53
# By DNS: only 443 is open, and nginx has it.
certbot certonly --non-interactive --agree-tos --email "$email" --dns-route53 --domain "$domain" \
    --keep-until-expiring --deploy-hook 'systemctl reload nginx'
systemctl enable mediaserver-certificate.service

"$root/deploy/systemd/install.sh" --domain "$domain" --udp-range "$udp_range"
