#!/usr/bin/env bash
# Locks base images: behind each release that the files name, the digest that its registry has for it now.
#   lock-images.sh FILE...     Dockerfiles and Compose files; they are changed in place
set -euo pipefail
shopt -s inherit_errexit

# What Docker asks for: the index of all architectures, where there is one.
types='application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json'

# digest IMAGE:TAG: as Docker finds it, by the distribution API of the Open Container Initiative.
digest() {
    local registry=registry-1.docker.io name=${1%:*} manifest head challenge token
    if [[ ${name%%/*} == *.* ]]; then
        registry=${name%%/*} name=${name#*/}
    elif [[ $name != */* ]]; then
        name=library/$name
    fi
    manifest=https://$registry/v2/$name/manifests/${1##*:}
    head=$(curl --silent --show-error --head --header "Accept: $types" "$manifest" | tr -d '\r')
    challenge=$(sed -n 's/^www-authenticate: bearer //Ip' <<<"$head")
    if [ -n "$challenge" ]; then
        token=$(curl --silent --show-error --fail --get "$(field realm)" \
            --data-urlencode "service=$(field service)" --data-urlencode "scope=repository:$name:pull" \
            | sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
        head=$(curl --silent --show-error --head --header "Accept: $types" --header "Authorization: Bearer $token" \
            "$manifest" | tr -d '\r')
    fi
    sed -n 's/^docker-content-digest: \(sha256:[0-9a-f]\{64\}\)$/\1/Ip' <<<"$head"
}

field() {
    sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p" <<<"$challenge"
}

# What is built here has no release.
images=$(sed -n -E 's/^(FROM|  +image:) +([^ @]+:[0-9][^ @]*).*/\2/p' "$@" | sort -u)
for image in $images; do
    found=$(digest "$image")
    [ -n "$found" ] || {
        echo "lock-images.sh: the registry of $image names no digest" >&2
        exit 1
    }
    echo "$image@$found"
    sed -i -E "s#^(FROM|  +image:)( +)$image(@[^ ]+)?( |\$)#\1\2$image@$found\4#" "$@"
done
