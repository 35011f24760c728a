# shellcheck shell=bash
# minikube, and a base image of its nodes that is made of kind's node image.

minikube_config=$STATE/minikube.yaml

# minikube_environment: what a shell needs for it: where profiles are kept, and a configuration file for stackctl.
minikube_environment() {
  printf 'export MINIKUBE_HOME=%q MINIKUBE_WANTUPDATENOTIFICATION=false\n' "$MINIKUBE_WORLD"
  printf 'export STACKCTL_WORLD_MINIKUBE_CONFIG=%q\n' "$minikube_config"
}

# minikube_configure FLAG...: what `minikube start` is given; standard input is more of stackctl's configuration.
minikube_configure() {
  {
    echo "# Written by tests/world/up."
    echo "provider: minikube"
    printf 'minikubeFlags: [%s]\n' "$(printf '%s, ' "$@" | sed 's/, $//')"
    cat
    [ ! -f "$config" ] || grep -Ev '^(#|nodeImage:)' "$config"
  } | write "$minikube_config"
  minikube_environment | write "$MINIKUBE_WORLD/environment"
}

# minikube_kubeadm VERSION: for a version that it doesn't know, minikube asks kubeadm which images there are, several times.
# Not told the version, kubeadm first tries to find out online which is the newest.
minikube_kubeadm() {
  local file
  file=$MINIKUBE_WORLD/.minikube/cache/linux/$(go env GOARCH)/$1/kubeadm
  printf '#!/bin/sh\nexec %q "$@" --kubernetes-version %s\n' "$(out kubernetes)/kubeadm" "$1" | write "$file"
  chmod +x "$file"
}

# Root needs --force, and so does a version that is newer than minikube's newest.
if [ -n "$ONLINE" ]; then
  tool minikube minikube/cli 1800
  minikube_configure --force < /dev/null
else
  part minikube/cli 1800
  part minikube/crictl 900
  part minikube/storage-provisioner 600
  image minikube/kicbase
  link minikube "$(out minikube/cli)/minikube"
  version=$(cat "$(out kubernetes)/version")
  minikube_kubeadm "$version"
  minikube_configure --force --preload=false --cache-images=false --cni=bridge << CONFIG
nodeImage: $(header minikube/kicbase tag)
kubernetesVersion: $version
memory: 2200mb
CONFIG
fi
