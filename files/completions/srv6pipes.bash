# shellcheck shell=bash
# Completion of srv6pipes for bash. tests/manual holds it against `srv6pipes --help`.

_srv6pipes() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]-} place=2 words
    COMPREPLY=()
    if [[ $command == module ]] && ((COMP_CWORD > 2)); then
        command="module ${COMP_WORDS[2]}"
        place=3
    fi

    # The value of an option.
    if ((COMP_CWORD > place)); then
        case $before in
            -c | --config | --sample | --modules)
                # Not the words of a space-split list: file names have spaces.
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                compopt -o filenames 2>/dev/null
                return
                ;;
            --direction)
                mapfile -t COMPREPLY < <(compgen -W 'upstream downstream' -- "$word")
                return
                ;;
            --argument | --option | --inverse | --inverse-argument | --inverse-option | --case | \
                --patience | --pair | --pair-argument | --pair-option | --chunk | --rounds)
                return
                ;;
            --function)
                # Of `demo` it begins with a module's file.
                if [[ $command == demo ]]; then
                    mapfile -t COMPREPLY < <(compgen -f -- "$word")
                    compopt -o filenames 2>/dev/null
                fi
                return
                ;;
        esac
    fi

    if ((COMP_CWORD == 1)); then
        words='run check clean doctor status flows reload demo module --version --help'
    else
        case $command in
            module) words='check run bench --help' ;;
            run | clean | reload) words='-c --config --help' ;;
            check) words='-c --config --enabled --help' ;;
            status | flows) words='-c --config --json --help' ;;
            doctor) words='--json --help' ;;
            demo) words='--modules --function --help' ;;
            'module check') words='--function --argument --option --inverse --inverse-argument
                --inverse-option --sample --case --patience --json --help' ;;
            'module run') words='--function --argument --option --direction --pair --pair-argument
                --pair-option --chunk --help' ;;
            'module bench') words='--function --argument --option --inverse --inverse-argument
                --inverse-option --sample --rounds --json --help' ;;
            *) return ;;
        esac
    fi
    if [[ $command == 'module '* && $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -X '!*.so' -- "$word"; compgen -d -- "$word")
        compopt -o filenames 2>/dev/null
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _srv6pipes srv6pipes
