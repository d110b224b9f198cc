#!/bin/sh
# Deploys or updates the stack and its page. Idempotent.
#
#   deploy.sh [OPTION…] [STACK_ENV]     STACK_ENV: see stack.env.example; default: stack.env beside this file
#   --dry-run        print every command that would change something; needs neither AWS nor its command line
#   --code           bring the new source to the running machine now; else its next boot takes it
#   --replace        allow a new machine, or a stop of the old one: drained first, refused under a session
#   --newest-image   print the newest base image of the region, for ImageId in STACK_ENV, and end
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

fail() {
    echo "deploy.sh: $*" >&2
    exit 1
}

dry_run='' code='' replace='' newest_image=''
while [ $# -gt 0 ]; do
    case $1 in
        --help)
            sed -n '2,/^[^#]/s/^# //p' "$here/deploy.sh"
            exit
            ;;
        --dry-run) dry_run=yes ;;
        --code) code=yes ;;
        --replace) replace=yes ;;
        --newest-image) newest_image=yes ;;
        -*)
            echo "deploy.sh: unknown option $1; --help lists all" >&2
            exit 2
            ;;
        *) break ;;
    esac
    shift
done
settings=${1:-$here/stack.env}

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
[ -n "$dry_run" ] || command -v aws >/dev/null || fail "the AWS command line is needed: package awscli"
stack=$(setting STACK_NAME)
AWS_DEFAULT_REGION=$(setting REGION)
export AWS_DEFAULT_REGION

if [ -n "$newest_image" ]; then
    # With one release of CUDA where there is such an image: Triton's container brings its own, and each takes room.
    for image in base-with-single-cuda-ubuntu-24.04 base-oss-nvidia-driver-gpu-ubuntu-24.04; do
        aws ssm get-parameter --name "/aws/service/deeplearning/ami/x86_64/$image/latest/ami-id" \
            --query Parameter.Value --output text 2>/dev/null && exit
    done
    fail "no base image is known in $AWS_DEFAULT_REGION"
fi

for name in STACK_NAME REGION ARTIFACT_BUCKET DomainName HostedZoneId VpcId SubnetId AlarmEmail SourceUrl SourceRef; do
    [ -n "$(setting $name)" ] || fail "$name is empty in $settings"
done
# Lambda's names have 64 characters at most, CloudFront's too, of which the region and ours are a part.
echo "$stack" | grep --quiet --extended-regexp '^[A-Za-z][A-Za-z0-9-]{0,39}$' \
    || fail "STACK_NAME is '$stack'; letters, digits and hyphens it may have, 40 at most, and begins with a letter"
[ -n "$(setting ImageId)" ] || fail "ImageId is empty in $settings; deploy.sh --newest-image says one"
# The rest of the file are template parameters without spaces.
parameters=$(sed -n '/^[A-Z][a-z][A-Za-z0-9]*=./p' "$settings")
# Parameters that the file does not set get the template's default. Else an update would keep the stack's values.
for default in $(awk '/^[A-Z]/ { inside = /^Parameters:/ } inside && /^  [A-Z]/ { name = $1 } inside && /^    Default:/ { print name $2 }' \
    "$here/template.yaml" | tr -d '"' | tr : =); do
    [ -n "$(setting "${default%%=*}")" ] || parameters="$parameters $default"
done
# The machine runs the fetched source as root, so it must be this checkout's, byte for byte.
if [ -z "$(setting SourceSha256)" ]; then
    ref=$(setting SourceRef)
    git rev-parse --quiet --verify "$ref^{commit}" >/dev/null || fail "SourceRef: no $ref in this checkout"
    checksum=$(git -c tar.umask=0022 archive --format=tar "$ref^{commit}" | sha256sum)
    parameters="$parameters SourceSha256=${checksum%% *}"
fi

# Before the first change: a fault that the stack finds later rolls it back as a whole.
[ -n "$dry_run" ] || "$here/check-account.sh" "$settings"

# --- the stack ---

output() {
    if [ -n "$dry_run" ]; then
        echo "<$1>"
    else
        aws cloudformation describe-stacks --stack-name "$stack" --output text \
            --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
    fi
}

# machines STATES: ids of the stack's that are in one of these.
machines() {
    aws ec2 describe-instances --output text --query 'Reservations[].Instances[].InstanceId' \
        --filters "Name=tag:mediaserver:stack,Values=$stack" "Name=instance-state-name,Values=$1"
}

# The stack's own function: it asks the server, and refuses under a session.
drain() {
    answer=$(mktemp)
    aws lambda invoke --function-name "$stack-stop" "$answer" >/dev/null
    grep --quiet --extended-regexp '"statusCode": ?20[02]' "$answer" \
        || fail "the machine is in use, comes up, or cannot be asked, and this would end it: $(cat "$answer")"
    rm "$answer"
    up=$(machines pending,running,stopping)
    # shellcheck disable=SC2086
    [ -z "$up" ] || aws ec2 wait instance-stopped --instance-ids $up
}

# finished create|update: waits for it, and says why it failed.
finished() {
    aws cloudformation wait "stack-$1-complete" --stack-name "$stack" && return
    echo "What failed, the newest first:" >&2
    aws cloudformation describe-stack-events --stack-name "$stack" --output text --query \
        "StackEvents[?ends_with(ResourceStatus, 'FAILED')].[Timestamp, LogicalResourceId, ResourceStatusReason]" | head -n 12 >&2
    log=$(aws cloudformation describe-stack-resource --stack-name "$stack" --logical-resource-id MachineLog \
        --query StackResourceDetail.PhysicalResourceId --output text)
    fail "the stack could not be ${1}d. A machine's own words are in the log group $log"
}

# What of the machines this change set would make anew, stop, or take away. Another wait for the first boot, or another
# tag, does none of that.
touched() {
    aws cloudformation describe-change-set --change-set-name "$1" --output text --query "Changes[].ResourceChange | \
        [?contains(['Machine', 'FallbackMachine'], LogicalResourceId)] | \
        [?Action=='Remove' || (Action=='Modify' && contains(Scope, 'Properties'))].LogicalResourceId"
}

execute() {
    touched=$(touched "$1")
    kind=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' --output text)
    if [ -n "$touched" ]; then
        [ -n "$replace" ] || fail "this would make anew, stop or remove: $touched. deploy.sh --replace does so. Nothing was changed"
        drain
    fi
    if [ "$kind" = REVIEW_IN_PROGRESS ]; then
        echo "The stack is made; with the first start of its machine this takes up to half an hour."
        # Else a first boot that fails takes its own log away with it.
        aws cloudformation execute-change-set --disable-rollback --change-set-name "$1"
        finished create
    else
        aws cloudformation execute-change-set --change-set-name "$1"
        finished update
    fi
}

run "$here/build.sh"
run aws cloudformation package --template-file "$here/template.yaml" \
    --s3-bucket "$(setting ARTIFACT_BUCKET)" --output-template-file build/packaged.yaml
# shellcheck disable=SC2086
said=$(run aws cloudformation deploy --stack-name "$stack" --template-file build/packaged.yaml \
    --s3-bucket "$(setting ARTIFACT_BUCKET)" --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
    --no-execute-changeset --no-fail-on-empty-changeset --tags "mediaserver:stack=$stack" \
    --parameter-overrides $parameters)
echo "$said"
change_set=$(echo "$said" | grep --only-matching 'arn:[^ ]*:changeSet/[^ ]*' || true)
if [ -n "$dry_run" ]; then
    echo "+ aws cloudformation execute-change-set --change-set-name <the one that was made>"
elif [ -n "$change_set" ]; then
    execute "$change_set"
fi
# A tag counts for the budget after its activation, which AWS allows a day after its first use.
run aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=mediaserver:stack,Status=Active \
    || echo "The budget does not count yet: deploy again tomorrow, when AWS knows the tag mediaserver:stack."

# --- the page ---

bucket=$(output SiteBucketName)
# A browser asks at each use whether a module has changed: old and new modules do not work together.
run aws s3 cp web/ "s3://$bucket/" --recursive --cache-control no-cache --no-progress \
    --exclude 'sample/*' --exclude 'tests/*' --exclude package.json --exclude tsconfig.json
run aws s3 cp web/sample/ "s3://$bucket/sample/" --recursive --cache-control 'public, max-age=604800' --no-progress
config=$(mktemp)
trap 'rm -f "$config"' EXIT
echo '{"api": "/api"}' >"$config"
run aws s3 cp "$config" "s3://$bucket/config.json" --content-type application/json --cache-control no-store
# Removes files that the page no longer has; the others were just uploaded.
run aws s3 sync web/ "s3://$bucket/" --delete --size-only --exclude config.json \
    --exclude 'tests/*' --exclude package.json --exclude tsconfig.json
run aws cloudfront create-invalidation --distribution-id "$(output SiteDistributionId)" --paths '/*'

# --- the machine that runs ---

if [ -n "$code" ]; then
    running=MachineId
    [ -n "$dry_run" ] || running=$(machines running)
    if [ -n "$running" ]; then
        # shellcheck disable=SC2086
        run aws ssm send-command --instance-ids $running --document-name AWS-RunShellScript \
            --comment "source $(setting SourceRef)" --parameters commands=/var/lib/cloud/scripts/per-boot/mediaserver
        echo "The machine takes the new source; how it goes is in the log group $(output MachineLogName)."
    else
        echo "The machine is off; its next boot takes the new source."
    fi
fi

echo "Page:   $(output SiteUrl)"
echo "Invite: .venv/bin/python -m lambdas.invite NAME --secret $(output KeysSecret) --region $AWS_DEFAULT_REGION"
