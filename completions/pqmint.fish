# SPDX-License-Identifier: PostgreSQL
# fish completion for pqmint

function __pqmint_services
    set -l own $HOME/.pg_service.conf
    set -q PGSERVICEFILE; and set own $PGSERVICEFILE
    set -l system /etc/postgresql-common
    set -q PGSYSCONFDIR; and set system $PGSYSCONFDIR
    sed -n 's/^\[\([^]]*\)\].*$/service=\1/p' $own $system/pg_service.conf 2>/dev/null
end

# The words behind `pqmint run`, so that the program completes its own arguments.
function __pqmint_program
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1..2]
    while test (count $words) -gt 1; and contains -- "$words[1]" -- --preload-only
        set -e words[1]
    end
    complete -C"$words"
end

complete -c pqmint -f
complete -c pqmint -n __fish_use_subcommand -a run -d 'start a program so that it logs in with cloud tokens'
complete -c pqmint -n __fish_use_subcommand -a token -d 'print a token'
complete -c pqmint -n __fish_use_subcommand -a check -d 'say what a connection would do, and why'
complete -c pqmint -n __fish_use_subcommand -a doctor -d 'say whether a program will be reached'
complete -c pqmint -n __fish_use_subcommand -l version -d 'print the version'
complete -c pqmint -n __fish_use_subcommand -l help -d 'print a summary of the commands'
complete -c pqmint -n '__fish_seen_subcommand_from run; and test (count (commandline -opc)) -eq 2' -l preload-only -d 'without the stand-in'
complete -c pqmint -n '__fish_seen_subcommand_from run' -a '(__pqmint_program)'
complete -c pqmint -n '__fish_seen_subcommand_from doctor' -a '(__fish_complete_command)'
complete -c pqmint -n '__fish_seen_subcommand_from token check' -a '(__pqmint_services) host= postgresql://'
complete -c pqmint -n '__fish_seen_subcommand_from token' -l device-code -d 'log in to Microsoft Entra with a browser'
complete -c pqmint -n '__fish_seen_subcommand_from check' -l connect -d 'also log in'
complete -c pqmint -n '__fish_seen_subcommand_from check' -l json -d 'print one JSON object'
complete -c pqmint -n '__fish_seen_subcommand_from check' -l color -x -a 'always auto never' -d 'colour the lines'
