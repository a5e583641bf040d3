# Completion of srv6pipes for fish. tests/manual holds it against `srv6pipes --help`.

# Whether the words so far are `srv6pipes WORDS…`, options aside, and no more commands.
function __srv6pipes_at
    set -l commands
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and continue
        set -a commands $word
    end
    test "$commands" = "$argv"
end

# Whether the first words are these, whatever follows.
function __srv6pipes_in
    set -l words (commandline -opc)[2..-1]
    set -l last (count $argv)
    test (count $words) -ge $last; and test "$words[1..$last]" = "$argv"
end

complete -c srv6pipes -f
complete -c srv6pipes -n '__srv6pipes_at' -l version -d 'print the version'
complete -c srv6pipes -l help -d 'say how it is used'

complete -c srv6pipes -n '__srv6pipes_at' -a run -d 'set the kernel up, proxy, undo it all at the end'
complete -c srv6pipes -n '__srv6pipes_at' -a check -d 'print what run would do, and all mistakes'
complete -c srv6pipes -n '__srv6pipes_at' -a clean -d 'remove what a killed run left behind'
complete -c srv6pipes -n '__srv6pipes_at' -a doctor -d 'say what this kernel offers and lacks'
complete -c srv6pipes -n '__srv6pipes_at' -a status -d 'counters, functions and modules'
complete -c srv6pipes -n '__srv6pipes_at' -a flows -d 'the live flows'
complete -c srv6pipes -n '__srv6pipes_at' -a reload -d 'take over the changed configuration and modules'
complete -c srv6pipes -n '__srv6pipes_at' -a demo -d 'two proxies between curl and a web server'
complete -c srv6pipes -n '__srv6pipes_at' -a module -d 'for people who write modules'

for command in run check clean status flows reload
    complete -c srv6pipes -n "__srv6pipes_in $command" -s c -l config -rF -d 'configuration file'
end
for command in status flows doctor 'module check' 'module bench'
    complete -c srv6pipes -n "__srv6pipes_in $command" -l json -d 'one JSON document'
end
complete -c srv6pipes -n '__srv6pipes_in check' -l enabled -d 'no plan; 3 if it shall not run'

complete -c srv6pipes -n '__srv6pipes_in demo' -l modules -rF -d 'folder of the stock modules'
complete -c srv6pipes -n '__srv6pipes_in demo' -l function -rF -d 'what P1 runs, and P2: FILE:NAME'

complete -c srv6pipes -n '__srv6pipes_at module' -a check -d 'hold its functions to what they must promise'
complete -c srv6pipes -n '__srv6pipes_at module' -a run -d 'standard input through a function'
complete -c srv6pipes -n '__srv6pipes_at module' -a bench -d 'what the calls of a function cost'

for command in check run bench
    complete -c srv6pipes -n "__srv6pipes_in module $command" -a '(__fish_complete_suffix .so)'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l function -x -d 'which function'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l argument -x -d 'argument of its flows'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l option -x -d 'KEY=VALUE of its section'
end
for command in check bench
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l inverse -x -d 'the function that undoes it'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l inverse-argument -x -d 'argument of the inverse'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l inverse-option -x -d 'KEY=VALUE of its section'
    complete -c srv6pipes -n "__srv6pipes_in module $command" -l sample -rF -d 'bytes to feed it'
end
complete -c srv6pipes -n '__srv6pipes_in module check' -l case -x -d 'only cases with this in their name'
complete -c srv6pipes -n '__srv6pipes_in module check' -l patience -x -d 'seconds for a call'
complete -c srv6pipes -n '__srv6pipes_in module bench' -l rounds -x -d 'rounds that count'
complete -c srv6pipes -n '__srv6pipes_in module run' -l direction -x -a 'upstream downstream' -d 'which way'
complete -c srv6pipes -n '__srv6pipes_in module run' -l pair -x -d 'the function that undoes it'
complete -c srv6pipes -n '__srv6pipes_in module run' -l pair-argument -x -d 'argument of the other one'
complete -c srv6pipes -n '__srv6pipes_in module run' -l pair-option -x -d 'KEY=VALUE of its section'
complete -c srv6pipes -n '__srv6pipes_in module run' -l chunk -x -d 'how many bytes arrive at once'
