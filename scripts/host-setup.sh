#!/bin/sh
# Puts the settings and modules of systemd/ in place on an instance, by hand and as root; systemd/README.md says why each.
set -eu

usage() {
  cat <<'END'
usage: host-setup.sh [--check | --uninstall] [--root DIR]

Copies systemd/sysctl.d/60-connector.conf and systemd/modules-load.d/connector.conf
to /etc, loads the modules and applies the settings of that file, no others. Safe
to repeat.

  --check      change nothing: exit 0 when the files are in place as they are
               here, else 1. Whether the kernel follows them: connector check
  --uninstall  remove the files; what they set stays until the next boot
  --root DIR   below DIR instead of /, for an image: only the files, nothing is
               loaded or applied
END
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")/../systemd" && pwd)
files='modules-load.d/connector.conf sysctl.d/60-connector.conf'
action=install
root=

while [ $# -gt 0 ]; do
  case $1 in
    --check) action=check ;;
    --uninstall) action=uninstall ;;
    --root)
      [ $# -gt 1 ] || { usage >&2; exit 64; }
      root=${2%/}
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
  shift
done

complain() {
  echo "host-setup: $*" >&2
}

check() {
  missing=0
  for file in $files; do
    if cmp -s "$here/$file" "$root/etc/$file"; then echo "in place  $root/etc/$file"
    elif [ -e "$root/etc/$file" ]; then echo "differs   $root/etc/$file"; missing=1
    else echo "missing   $root/etc/$file"; missing=1
    fi
  done
  return $missing
}

install_files() {
  for file in $files; do
    if cmp -s "$here/$file" "$root/etc/$file"; then continue; fi
    # Written beside and renamed: a boot finds the old file or the new one, whole.
    mkdir -p "$root/etc/${file%/*}"
    cp "$here/$file" "$root/etc/$file.new"
    chmod 0644 "$root/etc/$file.new"
    mv "$root/etc/$file.new" "$root/etc/$file"
    echo "installed $root/etc/$file"
  done
}

# A module that the kernel lacks is no failure: WireGuard may be wireguard-go's, and what is built in has no file.
load_modules() {
  command -v modprobe >/dev/null || { complain "no modprobe: modules are not loaded"; return 0; }
  for module in $(sed 's/#.*//' "$here/modules-load.d/connector.conf"); do
    modprobe -q "$module" || complain "the kernel has no loadable module $module"
  done
}

# Both do wildcards and go on after a setting that the kernel refuses, saying so.
apply_settings() {
  file=$root/etc/sysctl.d/60-connector.conf
  for command in /usr/lib/systemd/systemd-sysctl /lib/systemd/systemd-sysctl; do
    if [ -x "$command" ]; then "$command" "$file"; return; fi
  done
  command -v sysctl >/dev/null || { complain "neither systemd-sysctl nor sysctl is here"; return 1; }
  sysctl -q -p "$file"
}

case $action in
  check) check ;;
  install)
    [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || { complain "needs root"; exit 1; }
    install_files
    [ -z "$root" ] || exit 0
    load_modules
    apply_settings
    echo "applied   $file"
    ;;
  uninstall)
    [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || { complain "needs root"; exit 1; }
    for file in $files; do
      [ ! -e "$root/etc/$file" ] || { rm "$root/etc/$file"; echo "removed   $root/etc/$file"; }
    done
    ;;
esac
