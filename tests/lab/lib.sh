# Shared by up, down and wipe: settings with their defaults, and a few helpers. Sourced, never run.
# Every setting may be overridden in the environment, e.g. `HIBERNATE=1s tests/lab/up dovecot`.
# shellcheck shell=bash

PATH=$PATH:/usr/sbin:/sbin   # not on everybody's path
LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_STATE=${LAB_STATE:-$LAB_DIR/state}
case $LAB_STATE in /*) ;; *) LAB_STATE=$PWD/$LAB_STATE ;; esac

# --- ports: two labs run side by side with another LAB_STATE and LAB_PORT_BASE ---
B=${LAB_PORT_BASE:-21000}
LAB_PORT_BASE=$B
IMAP_PORT=${IMAP_PORT:-$((B + 143))}
IMAPS_PORT=${IMAPS_PORT:-$((B + 993))}
IMAPS_WRONG_PORT=${IMAPS_WRONG_PORT:-$((B + 994))}
LMTP_PORT=${LMTP_PORT:-$((B + 24))}
SMTP_PORT=${SMTP_PORT:-$((B + 25))}
SUBMISSION_PORT=${SUBMISSION_PORT:-$((B + 587))}
SMTPS_PORT=${SMTPS_PORT:-$((B + 465))}
SMTPS_WRONG_PORT=${SMTPS_WRONG_PORT:-$((B + 466))}
OIDC_HTTPS_PORT=${OIDC_HTTPS_PORT:-$((B + 443))}
OIDC_HTTP_PORT=${OIDC_HTTP_PORT:-$((B + 80))}
MARIADB_PORT=${MARIADB_PORT:-$((B + 306))}
unset B

LAB_HOST=127.0.0.1
# Dovecot chooses a certificate by local address, not by port: the one for another name is shown here.
WRONG_HOST=127.0.0.9

# --- the provider ---
TENANT=${TENANT:-11111111-2222-3333-4444-555555555555}
TENANT2=${TENANT2:-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee}
CLIENT_ID=0b1c2d3e-1ab0-4000-8000-000000000001
CLIENT_SECRET=${CLIENT_SECRET:-lab-secret-1}
CLIENT60_ID=0b1c2d3e-1ab0-4000-8000-000000000060
CLIENT60_SECRET=${CLIENT60_SECRET:-lab-secret-60}
CLIENT5_ID=0b1c2d3e-1ab0-4000-8000-000000000005
CLIENT5_SECRET=${CLIENT5_SECRET:-lab-secret-5}
NATIVE_CLIENT_ID=0b1c2d3e-1ab0-4000-8000-000000000003
DOVECOT_CLIENT_ID=dovecot-introspect
DOVECOT_CLIENT_SECRET=dovecot-introspect-secret
LAB_AT_TTL=${LAB_AT_TTL:-300}   # seconds an access token of CLIENT lives
LAB_AT_TTL60=${LAB_AT_TTL60:-60}
LAB_AT_TTL5=${LAB_AT_TTL5:-5}

# --- mail ---
MAIL_DOMAIN=lab.test
MAIL_UID=20001                  # a bare number, no account needed
MAIL_GID=20001
LAB_PASSWORD=labpass            # of every mailbox, for PLAIN and LOGIN
DELEGATE=andrea@lab.test
SHARED=developers@lab.test      # andrea may open it and send as it
SHARED2=support@lab.test        # the same
UNSHARED=secret@lab.test        # andrea may not
MAIL_LOCATION=${MAIL_LOCATION:-'sdbox:~/sdbox'}   # quoted: the shell would expand the tilde
MAIL_FSYNC=${MAIL_FSYNC:-optimized}
HIBERNATE=${HIBERNATE:-0}       # 0 or whole seconds with their unit, e.g. 1s
AUTH_DEBUG=${AUTH_DEBUG:-no}

# --- database ---
MARIADB_DB=lab
MARIADB_USER=lab                # may make databases of its own
MARIADB_PASSWORD=lab-db-pass

say() { printf '%s lab: %s\n' "$(date +%T)" "$*"; }
die() { printf '%s lab: %s\n' "$(date +%T)" "$*" >&2; exit 1; }

# The parts own files of four system users and raise kernel limits: only root can start them.
need_root() {
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null || die "starting the lab needs root (Dovecot, Postfix and MariaDB run as their own users): run it as root or install sudo"
  say "the lab needs root: going on with sudo"
  exec sudo --preserve-env=LAB_STATE,LAB_PORT_BASE,HIBERNATE,MAIL_FSYNC,LAB_AT_TTL,LAB_SYSCTL,AUTH_DEBUG bash "$0" "$@"
}

# Is the process of this pid file alive, and is it still the one we started?
alive() { # pidfile word-in-its-command-line
  local p
  [ -s "$1" ] || return 1
  p=$(tr -d ' \n' < "$1")
  [ -r "/proc/$p/cmdline" ] && tr '\0' ' ' < "/proc/$p/cmdline" | grep -q -- "$2"
}

# Ended, or ended and not yet collected by its parent (a zombie still answers signals).
gone() { # pid
  local stat
  read -r stat 2>/dev/null < "/proc/$1/stat" || return 0
  [[ ${stat##*) } == [ZX]* ]]
}

# Ask again until it answers. What is polled is always an answer in the part's own protocol.
wait_until() { # seconds command...
  local end=$(( ${EPOCHREALTIME//[.,]/} + $1 * 1000000 ))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "${EPOCHREALTIME//[.,]/}" -lt "$end" ] || return 1
    sleep 0.05   # the pause between two questions, never the wait itself
  done
}

# Does a server at this port greet with this text?
greets() { # host port regex
  local line
  exec 3<>"/dev/tcp/$1/$2" || return 1
  IFS= read -rt 2 line <&3 || { exec 3>&-; return 1; }
  exec 3>&-
  [[ $line =~ $3 ]]
}

# The state folder must be reachable for the parts' own users, short enough for socket paths and free of
# characters that the parts' configuration files would take apart. A checkout often is not (below /root or a
# private temporary folder): then the state lives in /var/tmp and LAB_STATE is a link to it.
open_state() {
  local parent
  if [ -L "$LAB_STATE" ] && [ ! -d "$LAB_STATE" ]; then mkdir -m 755 -p "$(readlink "$LAB_STATE")"; fi
  if [ ! -e "$LAB_STATE" ]; then
    parent=$(dirname "$LAB_STATE")
    mkdir -p "$parent"
    if [ ${#LAB_STATE} -le 60 ] && [[ $LAB_STATE =~ ^[A-Za-z0-9/._-]+$ ]] \
      && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$parent"; then
      mkdir -m 755 "$LAB_STATE"
    else
      ln -s "/var/tmp/motion-email-lab.$(printf %s "$LAB_STATE" | cksum | cut -d' ' -f1)" "$LAB_STATE"
      mkdir -m 755 -p "$(readlink "$LAB_STATE")"
    fi
  fi
  S=$(cd -P "$LAB_STATE" && pwd)
  mkdir -p "$S/run" "$S/log" "$S/tls"
  chmod 755 "$S"
}
