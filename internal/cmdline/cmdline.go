// Package cmdline reads the command line of an OCI runtime:
//
//	oci-add-hooks [own options] [the runtime's global options] COMMAND [the rest]
//
// It tells this program's own options from the runtime's, finds the command, the bundle, and the log in which an
// engine reads errors. Everything that is not ours reaches the runtime byte for byte, in order. It is pure: it opens no
// file, and does not know what the options' values stand for.
package cmdline

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Name is the name under which the program answers --version and --help itself. Called by another name, it stands for
// a runtime, and these are the runtime's.
const Name = "oci-add-hooks"

// Kind is what a call asks for.
type Kind int

// The kinds of call.
const (
	PassThrough Kind = iota // any command but create, run and restore, and every probe: the runtime's alone
	AddHooks                // create, run or restore
	Version                 // our own --version
	Help                    // our own --help
)

// Call is a command line that has been read.
type Call struct {
	Kind Kind
	Name string // the base name of argv[0], by which a profile is chosen; empty if there is none

	HookFiles []string // values of --hook-config-path, in order
	HooksDirs []string // values of --hooks-dir, in order
	Runtime   string   // the last value of --runtime-path; empty if there is none
	Slip      string   // an option that looks like one of ours, and is passed on all the same; empty if there is none

	Args       []string // what the runtime gets after its argv[0]
	ConfigPath string   // the config.json of the bundle; with AddHooks alone
	ID         string   // the container's; with AddHooks alone; empty if it is missing or could be any of several words

	Log       string // the runtime's --log; empty if there is none
	LogFormat string // the runtime's --log-format
	Debug     bool   // the runtime's --debug
}

// Parse reads argv. On an error the call still holds the log, so that the error can be told there. The errors are about
// our own options and about a bundle that is named without a name; what else may be wrong is left for the runtime to say.
func Parse(argv []string) (Call, error) {
	call := Call{}
	if len(argv) == 0 {
		return call, nil // no program is started so, but the kernel allows it
	}
	if argv[0] != "" {
		call.Name = filepath.Base(argv[0])
	}
	if len(argv) == 2 && call.Name == Name {
		switch argv[1] {
		case "--version":
			call.Kind = Version
			return call, nil
		case "--help":
			call.Kind = Help
			return call, nil
		}
	}
	globals, command, rest, err := call.splitGlobals(argv[1:])
	call.Args = globals
	if command == "" {
		return call, err
	}
	call.Args = slices.Concat(globals, []string{command}, rest)
	if !slices.Contains(addingCommands, command) || asksForHelp(globals, globalValues) || asksForHelp(rest, commandValues) {
		return call, err
	}
	call.Kind = AddHooks
	var noBundle error
	if call.ConfigPath, noBundle = findConfig(command, rest); err == nil {
		err = noBundle
	}
	if words := options(rest, commandValues, func(_, _, _ string, _ bool) {}); len(words) == 1 {
		call.ID = words[0]
	}
	return call, err
}

// splitGlobals reads what stands before the command: it takes out our own options and notes the log. Of several faults
// it returns the first, and reads on, since the log may come later.
func (c *Call) splitGlobals(args []string) (globals []string, command string, rest []string, fault error) {
	note := func(err error) {
		if fault == nil {
			fault = err
		}
	}
	unknown := false // the word before may be an option that takes a value
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, hasValue := strings.Cut(arg, "=")
		if name == optLogPath {
			note(fmt.Errorf("%s is an option of awslabs/oci-add-hooks, and not one of this program or of a runtime; "+
				"remove it and its value: errors are in the engine's message and in the runtime's log", name))
		}
		if ownValue(name) != "" {
			if !hasValue {
				if i++; i < len(args) {
					value = args[i]
				}
				if i >= len(args) || strings.HasPrefix(value, "-") {
					note(fmt.Errorf("option %s has no value; give it one: %s %s", name, name, ownValue(name)))
					if i < len(args) {
						i-- // the next option, most likely
					}
					continue
				}
			}
			if value == "" {
				note(fmt.Errorf("option %s has an empty value; give it one: %s %s", name, name, ownValue(name)))
			}
			c.set(name, value)
			unknown = false
			continue
		}
		if slices.Contains(commands, arg) && (!unknown || slices.Contains(addingCommands, arg) || !addsLater(args[i+1:])) {
			return globals, arg, args[i+1:], fault
		}
		globals = append(globals, arg)
		name, value, hasValue = option(arg)
		if c.Slip == "" && looksOwn(name) {
			c.Slip, _, _ = strings.Cut(arg, "=")
		}
		unknown = isUnknown(name, hasValue)
		if slices.Contains(globalValues, name) && !hasValue && i+1 < len(args) {
			i++
			value = args[i]
			globals = append(globals, value)
		}
		switch name {
		case "log", "l":
			c.Log = value
		case "log-format":
			c.LogFormat = value
		case "debug":
			c.Debug = !hasValue || value == "true"
		}
	}
	return globals, "", nil, fault
}

// isUnknown reports whether an option before the command may take the word behind it as its value, or may not.
func isUnknown(name string, hasValue bool) bool {
	return name != "" && !hasValue && !slices.Contains(globalValues, name) && !slices.Contains(globalSwitches, name) && !slices.Contains(probes, name)
}

// addsLater reports whether args, which stand behind an unknown option and a command's name, go on as they do if that name
// is the option's value: with more options, and create, run or restore with a bundle.
func addsLater(args []string) bool {
	for i := 0; i < len(args); i++ {
		name, _, hasValue := option(args[i])
		own, _, ownHasValue := strings.Cut(args[i], "=")
		switch {
		case slices.Contains(addingCommands, args[i]):
			return namesBundle(args[i+1:])
		case name == "":
			return false
		case ownValue(own) != "" && !ownHasValue, slices.Contains(globalValues, name) && !hasValue:
			i++
		case isUnknown(name, hasValue) && i+1 < len(args):
			if next, _, _ := option(args[i+1]); next == "" && !slices.Contains(addingCommands, args[i+1]) {
				i++
			}
		}
	}
	return false
}

// namesBundle reports whether one of the options behind create, run or restore names a bundle.
func namesBundle(rest []string) bool {
	named := false
	options(rest, commandValues, func(arg, name, _ string, _ bool) {
		named = named || isBundle(arg, name)
	})
	return named
}

func (c *Call) set(name, value string) {
	switch name {
	case optHookFile:
		c.HookFiles = append(c.HookFiles, value)
	case optHooksDir:
		c.HooksDirs = append(c.HooksDirs, value)
	case optRuntime:
		c.Runtime = value
	}
}

// option takes an argument apart: -name, --name, -name=value, --name=value. The name is empty if it is no option.
func option(arg string) (name, value string, hasValue bool) {
	if len(arg) < 2 || arg[0] != '-' {
		return "", "", false
	}
	name, value, hasValue = strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	return name, value, hasValue
}

// options calls each for every option among args, with its value if it takes one, up to "--". It returns the words that
// are neither options nor their values.
func options(args, takeValue []string, each func(arg, name, value string, hasValue bool)) (words []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(words, args[i+1:]...)
		}
		name, value, hasValue := option(arg)
		if name == "" {
			words = append(words, arg)
			continue
		}
		if slices.Contains(takeValue, name) && !hasValue && i+1 < len(args) {
			i++
			value, hasValue = args[i], true
		}
		each(arg, name, value, hasValue)
	}
	return words
}

// asksForHelp reports whether a runtime given these arguments prints its help or version and does nothing else.
func asksForHelp(args, takeValue []string) bool {
	asks := false
	options(args, takeValue, func(_, name, value string, hasValue bool) {
		asks = asks || slices.Contains(probes, name) && (!hasValue || value == "true")
	})
	return asks
}

// isBundle reports whether an option behind create, run or restore names the bundle: --bundle, -b, or -bDIR.
func isBundle(arg, name string) bool {
	return name == "bundle" || name == "b" || isJoined(arg, name, 'b')
}

// isJoined reports whether an option behind create, run or restore is this short one, with its value joined to it.
func isJoined(arg, name string, short byte) bool {
	return arg[1] == short && len(name) > 1 && !slices.Contains(commandValues, name) && !slices.Contains(commandSwitches, name)
}

// findConfig returns the path of config.json for create, run or restore: that of the last bundle named, else that of the
// working directory; or crun's --config.
func findConfig(command string, rest []string) (string, error) {
	bundle, config := ".", "config.json"
	var err error
	options(rest, commandValues, func(arg, name, value string, hasValue bool) {
		short := arg[1] != '-'
		switch {
		case isBundle(arg, name) && name != "bundle" && name != "b":
			bundle = arg[len("-b"):] // -bDIR
		case isBundle(arg, name):
			if !hasValue {
				err = fmt.Errorf("option %s has no value; give it the bundle's directory", arg)
			}
			bundle = value
		case command == "restore": // which has no --config
		case name == "config" && !short, name == "f" && short:
			if value == "" {
				err = fmt.Errorf("option %s has no value; give it the path of a config.json", arg)
			}
			config = value
		case isJoined(arg, name, 'f'):
			config = arg[len("-f"):] // -fFILE
		}
	})
	// crun looks for config.json in the bundle, and for a file of any other name where it was started.
	if config == "config.json" && bundle != "" && bundle != "." {
		config = bundle + "/" + config // not filepath.Join: that would take link/.. for nothing
	}
	return config, err
}
