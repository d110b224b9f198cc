#!/bin/sh
# Deploys or updates the stack and its page. Safe to repeat.
#   deploy.sh [--dry-run] [STACK_ENV]     STACK_ENV: see stack.env.example; default stack.env beside this file
# A dry run prints every command that would change something, and needs neither AWS nor its command line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

dry_run=
case ${1:-} in
    --help)
        sed -n '2,/^[^#]/s/^# //p' "$here/deploy.sh"
        exit
        ;;
    --dry-run)
        dry_run=yes
        shift
        ;;
    -*)
        echo "deploy.sh: unknown option $1; --help lists all" >&2
        exit 2
        ;;
esac
settings=${1:-$here/stack.env}

fail() {
    echo "deploy.sh: $*" >&2
    exit 1
}

run() {
    if [ -n "$dry_run" ]; then
        echo "+ $*"
    else
        "$@"
    fi
}

setting() {
    sed -n "s/^$1=//p" "$settings" | tail -n 1
}

[ -f "$settings" ] || fail "no $settings; copy stack.env.example and fill it in"
for name in STACK_NAME REGION ARTIFACT_BUCKET DomainName HostedZoneId VpcId SubnetId AlarmEmail SourceUrl SourceRef; do
    [ -n "$(setting $name)" ] || fail "$name is empty in $settings"
done
[ -n "$dry_run" ] || command -v aws >/dev/null || fail "the AWS command line is needed: package awscli"

stack=$(setting STACK_NAME)
AWS_DEFAULT_REGION=$(setting REGION)
export AWS_DEFAULT_REGION
# What is left of the file are template parameters, none of which holds a space.
parameters=$(sed -n '/^[A-Z][a-z][A-Za-z]*=/p' "$settings")
# The machine runs as root what it fetches: it must be what lies here, to the byte.
if [ -z "$(setting SourceSha256)" ]; then
    ref=$(setting SourceRef)
    git rev-parse --quiet --verify "$ref^{commit}" >/dev/null || fail "SourceRef: no $ref in this checkout"
    checksum=$(git -c tar.umask=0022 archive --format=tar "$ref^{commit}" | sha256sum)
    parameters="$parameters SourceSha256=${checksum%% *}"
fi

output() {
    if [ -n "$dry_run" ]; then
        echo "<$1>"
    else
        aws cloudformation describe-stacks --stack-name "$stack" --output text \
            --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
    fi
}

run "$here/build.sh"
run aws cloudformation package --template-file "$here/template.yaml" \
    --s3-bucket "$(setting ARTIFACT_BUCKET)" --output-template-file build/packaged.yaml
# shellcheck disable=SC2086
run aws cloudformation deploy --stack-name "$stack" --template-file build/packaged.yaml \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset \
    --parameter-overrides $parameters

bucket=$(output SiteBucketName)
run aws s3 sync web/ "s3://$bucket/" --delete --exclude config.json \
    --exclude 'tests/*' --exclude package.json --exclude tsconfig.json
config=$(mktemp)
trap 'rm -f "$config"' EXIT
printf '{"api": "%s"}\n' "$(output ApiUrl)" >"$config"
run aws s3 cp "$config" "s3://$bucket/config.json" --content-type application/json --cache-control no-store
run aws cloudfront create-invalidation --distribution-id "$(output SiteDistributionId)" --paths '/*'

echo "Page:   $(output SiteUrl)"
echo "Invite: .venv/bin/python -m lambdas.invite NAME --secret $(output KeysSecret) --region $AWS_DEFAULT_REGION"
