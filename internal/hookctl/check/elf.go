package check

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
)

// elfMachines maps a machine's name (uname(2)) to the kinds of ELF files that its kernel executes: its own, and the
// 32-bit one that the kernel may support too.
var elfMachines = map[string][]elf.Machine{
	"x86_64": {elf.EM_X86_64, elf.EM_386}, "i386": {elf.EM_386}, "i486": {elf.EM_386}, "i586": {elf.EM_386}, "i686": {elf.EM_386},
	"aarch64": {elf.EM_AARCH64, elf.EM_ARM}, "armv6l": {elf.EM_ARM}, "armv7l": {elf.EM_ARM}, "armv8l": {elf.EM_ARM},
	"ppc64": {elf.EM_PPC64, elf.EM_PPC}, "ppc64le": {elf.EM_PPC64}, "riscv64": {elf.EM_RISCV}, "s390x": {elf.EM_S390},
	"loongarch64": {elf.EM_LOONGARCH},
}

// elfFault returns why this kernel does not execute an ELF file; nil if it finds no reason.
func elfFault(file *os.File) *fault {
	is, err := program.ReadELF(file)
	if machine := hostMachine(); is.Machine != elf.EM_NONE && elfMachines[machine] != nil && !slices.Contains(elfMachines[machine], is.Machine) {
		name := is.Machine.String()
		if strings.Contains(name, "+") { // in the other byte order
			name = elf.Machine(bits.ReverseBytes16(uint16(is.Machine))).String()
		}
		return unfit(fmt.Sprintf("is built for another machine (%s; this one is %s)", strings.TrimPrefix(name, "EM_"), machine),
			"install the one for this machine")
	}
	switch {
	case err != nil:
		return unfit("is cut short", "install it again")
	case is.Type != elf.ET_EXEC && is.Type != elf.ET_DYN:
		return unfit("is an ELF file, but no program", "link it, or correct the path")
	case is.Loader == "":
		return nil
	}
	if f := unusable(is.Loader); f != nil {
		return uninterpreted(fmt.Sprintf("is linked for the loader %s, which %s", is.Loader, f.problem),
			"install that system's C library, or link the program statically")
	}
	return nil
}

// hostMachine returns the machine's name; "" if unknown.
func hostMachine() string {
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return ""
	}
	return unix.ByteSliceToString(host.Machine[:])
}

// binfmtMisc is where the kernel lists the formats that it executes by means of other programs (binfmt_misc(5)).
const binfmtMisc = "/proc/sys/fs/binfmt_misc"

// isHandled reports whether a program is registered with the kernel that executes files like the one at path, which
// begins with head: an emulator for another machine, for example.
func isHandled(path string, head []byte) bool {
	if status, err := os.ReadFile(binfmtMisc + "/status"); err != nil || strings.TrimSpace(string(status)) != "enabled" {
		return false
	}
	entries, err := os.ReadDir(binfmtMisc)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		text, err := os.ReadFile(filepath.Join(binfmtMisc, e.Name()))
		return err == nil && handles(string(text), path, head)
	})
}

// handles reports whether an entry of binfmt_misc is for the file at path, which begins with head.
func handles(entry, path string, head []byte) bool {
	lines := strings.Split(strings.TrimSpace(entry), "\n")
	if lines[0] != "enabled" {
		return false
	}
	values := map[string]string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, " ")
		values[name] = value
	}
	if extension := values["extension"]; extension != "" {
		return filepath.Ext(path) == extension
	}
	offset, err := strconv.Atoi(values["offset"])
	magic, magicErr := hex.DecodeString(values["magic"])
	mask, maskErr := hex.DecodeString(values["mask"])
	if err != nil || magicErr != nil || maskErr != nil || len(magic) == 0 || offset < 0 || offset+len(magic) > len(head) {
		return false
	}
	for i, want := range magic {
		got := head[offset+i]
		if i < len(mask) {
			got, want = got&mask[i], want&mask[i]
		}
		if got != want {
			return false
		}
	}
	return true
}
