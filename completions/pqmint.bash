# SPDX-License-Identifier: PostgreSQL
# bash completion for pqmint

# The names in libpq's service files: the user's own, then the system's (the last two are Debian's and the default's).
_pqmint_services() {
  local file
  for file in "${PGSERVICEFILE:-$HOME/.pg_service.conf}" \
    "${PGSYSCONFDIR:-/etc/postgresql-common}/pg_service.conf"; do
    [[ -r $file ]] && sed -n 's/^\[\([^]]*\)\].*$/\1/p' "$file"
  done 2>/dev/null
}

_pqmint_reply() {
  local IFS=$'\n'
  # shellcheck disable=SC2207  # one candidate a line
  COMPREPLY=($(compgen -W "$1" -- "$2"))
}

# bash takes "=" for the end of a word, unless the word is quoted: service=x is three words, "service=x one.
_pqmint_conninfo() {
  local options=$1 cur=$2 before=$3 key=$4
  if [[ $cur == '=' ]]; then key=$before cur='' before='='; fi
  if [[ $before == '=' ]]; then
    case $key in
      service) _pqmint_reply "$(_pqmint_services)" "$cur" ;;
      --color) _pqmint_reply $'always\nauto\nnever' "$cur" ;;
      sslmode) _pqmint_reply $'require\nverify-ca\nverify-full' "$cur" ;;
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    _pqmint_reply "$options" "$cur"
  else
    _pqmint_reply "$(_pqmint_services | sed 's/^/service=/')"$'\nhost=\npostgresql://' "${cur#[\"\']}"
  fi
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace 2>/dev/null
}

_pqmint() {
  local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} key='' first=2
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _pqmint_reply $'run\ntoken\ncheck\ndoctor\n--version\n--help' "$cur"
    return
  fi
  ((COMP_CWORD > 2)) && key=${COMP_WORDS[COMP_CWORD - 2]}
  case ${COMP_WORDS[1]} in
    run)
      while ((COMP_CWORD > first)) && [[ ${COMP_WORDS[first]} == -- || ${COMP_WORDS[first]} == --preload-only ]]; do
        ((first += 1))
      done
      if ((COMP_CWORD == 2)) && [[ $cur == -* ]]; then
        _pqmint_reply '--preload-only' "$cur"
        return
      fi
      # With the package bash-completion the program's own arguments are completed too.
      if declare -F _command_offset >/dev/null; then
        _command_offset $first
      elif ((COMP_CWORD == first)); then
        _pqmint_reply "$(compgen -c -- "$cur" | sort -u)" "$cur"
      else
        compopt -o default 2>/dev/null
      fi
      ;;
    doctor) ((COMP_CWORD == 2)) && _pqmint_reply "$(compgen -c -f -- "$cur" | sort -u)" "$cur" ;;
    token) _pqmint_conninfo '--device-code' "$cur" "$before" "$key" ;;
    check) _pqmint_conninfo $'--connect\n--json\n--color=' "$cur" "$before" "$key" ;;
  esac
}

complete -F _pqmint pqmint
