# shellcheck shell=bash
# Images inside a node image, so that a cluster comes up without pulling anything.

preload_container=stackctl-world-build   # known by its name: a label would stay on the image, and so on every node

preload_cleanup() {
  rm -rf "$preload"
  docker rm --force --volumes "$preload_container" > /dev/null 2>&1 || true
}

# preload_begin: a container of the image $IMAGE, in which to ask what it needs; $preload is a folder that it sees as /in.
preload_begin() {
  preload=$CACHE/context/preload
  trap preload_cleanup EXIT
  preload_cleanup
  mkdir -p "$preload"
  docker run --detach --privileged --name "$preload_container" --volume "$preload:/in:ro" \
    --entrypoint sleep "$IMAGE" infinity
}

# preload_end NAME...: puts the engine's images into the container's containerd, and makes $TARGET of it.
preload_end() {
  docker save --output "$preload/images.tar" "$@"
  docker exec --detach "$preload_container" containerd
  until_true 30 docker exec "$preload_container" ctr version || die "containerd did not answer in $IMAGE within 30 s"
  # Content alone: each image is unpacked when a pod first uses it, which keeps the node image small.
  docker exec "$preload_container" ctr --namespace k8s.io images import --no-unpack --digests /in/images.tar
  docker exec "$preload_container" pkill containerd
  until_true 30 docker exec "$preload_container" sh -c '! pgrep -x containerd' || die "containerd did not end within 30 s"
  docker exec "$preload_container" rm -rf /run/containerd
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$preload_container" "$TARGET"
}
