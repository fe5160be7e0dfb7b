#!/usr/bin/env bash
# Makes a stand-in for the Dockerfile's base image from Debian's packages, and builds a target on it: for machines
# that reach Debian and PyPI but no registry of images. Needs root, debootstrap and buildah; no daemon.
#
#     cluster/deploy/images/stand_in.sh gateway
#
# More words are buildah's, such as those that give pip a folder of wheels where torch's own index is out of reach:
#
#     printf '[global]\nfind-links = /wheels\nconstraint = /wheels/constraints.txt\n' > /srv/wheels/pip.conf
#     echo 'torch==2.13.0+cpu' > /srv/wheels/constraints.txt
#     cluster/deploy/images/stand_in.sh decoder --build-arg TORCH_INDEX=https://pypi.org/simple \
#         --volume /srv/wheels:/wheels:ro --volume /srv/wheels/pip.conf:/etc/pip.conf:ro
set -euo pipefail
cd "$(dirname "$0")/../../.."
target=$1
shift
base=docker.io/library/python:3.11-slim-bookworm

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root/image"
    # Only now: a venv of Debian's needs packages that debootstrap does not find by itself.
    chroot "$root/image" apt-get update
    chroot "$root/image" apt-get install --yes --no-install-recommends python3 python3-pip python3-venv
    # What authorities and indices this machine has, for pip.
    cp /etc/ssl/certs/ca-certificates.crt "$root/image/etc/ssl/certs/"
    # The real image has a pip that installs.
    rm -f "$root"/image/usr/lib/python3.*/EXTERNALLY-MANAGED
    tar --create --one-file-system --directory "$root/image" --file "$root/image.tar" .
    container=$(buildah from scratch)
    buildah add "$container" "$root/image.tar" /
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit --rm "$container" "$base"
fi

# chroot needs no runtime and no privileges beyond root's.
buildah build --isolation chroot --network host --pull-never --layers \
    --file cluster/deploy/images/Dockerfile --target "$target" --tag "sidewire-$target" "$@" .
