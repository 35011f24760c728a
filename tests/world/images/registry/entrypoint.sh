#!/bin/sh
# A configuration file or options alone mean `registry serve`; anything else is a command.
set -e
case "$1" in
  *.yaml | *.yml) set -- registry serve "$@" ;;
  serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
