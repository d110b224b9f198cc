#!/bin/sh
# What CloudFormation would find out in the midst of its work, and roll the whole stack back for. Changes nothing.
#   check-account.sh STACK_ENV     the region comes from AWS_DEFAULT_REGION
set -eu
settings=$1

fail() {
    echo "deploy.sh: $*" >&2
    exit 1
}

setting() {
    sed -n "s/^$1=//p" "$settings" | tail -n 1
}

quota() {
    aws service-quotas get-service-quota --service-code ec2 --quota-code "$1" --query Quota.Value --output text
}

# --- what the file says ---

# The pairs that the template's own rules, each for one parameter, cannot hold together.
check_numbers() {
    from=$(setting UdpFrom) to=$(setting UdpTo)
    [ "${from:-49152}" -lt "${to:-65535}" ] || fail "UdpFrom is ${from:-49152}, and has to be less than UdpTo"
    longest=$(setting MaxRunMinutes) boot=$(setting BootLimitMinutes)
    [ "${longest:-480}" -gt "${boot:-40}" ] || fail "MaxRunMinutes is ${longest:-480}: a first boot may take as long as" \
        "BootLimitMinutes, ${boot:-40}, and would be cut off"
}

# --- names and places ---

check_bucket() {
    bucket=$(setting ARTIFACT_BUCKET)
    # Lambda takes code from its own region alone. Of the oldest region S3 says nothing.
    region=$(aws s3api get-bucket-location --bucket "$bucket" --query LocationConstraint --output text)
    [ "$region" != None ] || region=us-east-1
    [ "$region" = "$AWS_DEFAULT_REGION" ] || fail "ARTIFACT_BUCKET: $bucket is in $region, and has to be in $AWS_DEFAULT_REGION"
}

check_zone() {
    zone=$(aws route53 get-hosted-zone --id "$(setting HostedZoneId)" --query 'HostedZone.[Name, Config.PrivateZone]' --output text)
    # shellcheck disable=SC2086
    set -- $zone
    case .$(setting DomainName). in
        *".$1") ;;
        *) fail "DomainName: $(setting DomainName) does not lie in ${1%.}, which HostedZoneId names" ;;
    esac
    [ "$2" = False ] || fail "HostedZoneId: $1 is a private zone, which neither browsers nor Let's Encrypt ask"
}

check_image() {
    image=$(aws ec2 describe-images --image-ids "$(setting ImageId)" --output text \
        --query 'Images[0].[Architecture, RootDeviceName, max(BlockDeviceMappings[].Ebs.VolumeSize)]')
    # shellcheck disable=SC2086
    set -- $image
    # The template's disk is the one of this name; another would be a second disk beside a small one.
    [ "$1 $2" = 'x86_64 /dev/sda1' ] || fail "ImageId: $(setting ImageId) has $1 and its disk as $2, not x86_64 and /dev/sda1"
    disk=$(setting DiskGiB)
    [ "$3" -le "${disk:-120}" ] || fail "DiskGiB is ${disk:-120}, and $(setting ImageId) needs $3"
}

# check_subnet NAME: public, in the VPC. Prints its zone. A machine without a way out would be waited for until its boot limit.
check_subnet() {
    subnet=$(setting "$1")
    where=$(aws ec2 describe-subnets --subnet-ids "$subnet" --query 'Subnets[0].[AvailabilityZone, VpcId]' --output text)
    # shellcheck disable=SC2086
    set -- "$1" $where
    [ "$3" = "$(setting VpcId)" ] || fail "$1: $subnet lies in $3, not in VpcId"
    gateways=$(gateways "association.subnet-id,Values=$subnet")
    # One without a table of its own has its VPC's.
    [ -n "$gateways" ] || gateways=$(gateways association.main,Values=true "Name=vpc-id,Values=$3")
    case $gateways in
        *igw-*) echo "$2" ;;
        *) fail "$1: $subnet has no route to an internet gateway; the machine needs a public subnet" ;;
    esac
}

gateways() {
    first=$1
    shift
    aws ec2 describe-route-tables --filters "Name=$first" "$@" --query 'RouteTables[].Routes[].GatewayId' --output text
}

# --- capacity ---

# offered TYPE SUBNET_SETTING: its zone has such machines, whose vCPUs are printed.
offered() {
    zone=$(check_subnet "$2")
    offers=$(aws ec2 describe-instance-type-offerings --location-type availability-zone --output text \
        --filters "Name=location,Values=$zone" "Name=instance-type,Values=$1" --query 'length(InstanceTypeOfferings)')
    [ "$offers" != 0 ] || fail "$zone, the zone of $(setting "$2"), does not offer $1: another subnet, or another type"
    aws ec2 describe-instance-types --instance-types "$1" --query 'InstanceTypes[0].VCpuInfo.DefaultVCpus' --output text
}

check_machines() {
    type=$(setting InstanceType)
    needed=$(offered "${type:-g4dn.xlarge}" SubnetId)
    if [ -n "$(setting FallbackSubnetId)" ]; then
        type=$(setting FallbackInstanceType)
        second=$(offered "${type:-g5.xlarge}" FallbackSubnetId)
        # Both run when the stack has been made.
        needed=$((needed + second))
    fi
    # "Running On-Demand G and VT instances", in vCPUs. A new account has none.
    vcpus=$(quota L-DB2E81BA)
    [ "${vcpus%.*}" -ge "$needed" ] || fail "the account's quota of G instances is ${vcpus%.*} vCPUs, and $needed are needed:" \
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-DB2E81BA --desired-value $needed"
}

# "EC2-VPC Elastic IPs": five, unless more were asked for.
check_addresses() {
    ours=$(aws ec2 describe-addresses --filters "Name=tag:mediaserver:stack,Values=$(setting STACK_NAME)" \
        --query 'length(Addresses)' --output text)
    [ "$ours" = 0 ] || return 0
    used=$(aws ec2 describe-addresses --query 'length(Addresses)' --output text)
    # Of a quota that was never touched AWS may say nothing.
    most=$(quota L-0263D0A3 2>/dev/null || echo 5)
    [ "$used" -lt "${most%.*}" ] || fail "the account has all of its ${most%.*} Elastic IP addresses:" \
        "release one, or raise the quota L-0263D0A3"
}

# A stack that was not made cannot be updated.
check_stack() {
    state=$(aws cloudformation describe-stacks --stack-name "$(setting STACK_NAME)" \
        --query 'Stacks[0].StackStatus' --output text 2>/dev/null || true)
    case $state in
        CREATE_FAILED | ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
            fail "the stack $(setting STACK_NAME) is $state. When its log has been read (docs/aws.md):" \
                "aws cloudformation delete-stack --stack-name $(setting STACK_NAME)"
            ;;
        *_IN_PROGRESS)
            [ "$state" = REVIEW_IN_PROGRESS ] || fail "the stack $(setting STACK_NAME) is $state; again when that is over"
            ;;
    esac
}

check_numbers
check_bucket
check_zone
check_image
check_machines
check_addresses
check_stack
