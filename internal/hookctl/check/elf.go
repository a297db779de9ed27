package check

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// elfMachines maps a machine's name (uname(2)) to the kinds of ELF files that its kernel executes: its own, and the 32-bit one
// that the kernel may support too.
var elfMachines = map[string][]elf.Machine{
	"x86_64": {elf.EM_X86_64, elf.EM_386}, "i386": {elf.EM_386}, "i486": {elf.EM_386}, "i586": {elf.EM_386}, "i686": {elf.EM_386},
	"aarch64": {elf.EM_AARCH64, elf.EM_ARM}, "armv6l": {elf.EM_ARM}, "armv7l": {elf.EM_ARM}, "armv8l": {elf.EM_ARM},
	"ppc64": {elf.EM_PPC64, elf.EM_PPC}, "ppc64le": {elf.EM_PPC64}, "riscv64": {elf.EM_RISCV}, "s390x": {elf.EM_S390},
	"loongarch64": {elf.EM_LOONGARCH},
}

// elfFault returns why this kernel does not execute an ELF file; nil if it finds no reason. It ignores sections, because the
// kernel reads only segments.
func elfFault(file *os.File) *fault {
	wrong := func(problem, hint string) *fault { return &fault{kind: "program", problem: problem, hint: hint} }
	h, segments, err := readELF(file)
	if machine := hostMachine(); h.machine != elf.EM_NONE && elfMachines[machine] != nil && !slices.Contains(elfMachines[machine], h.machine) {
		name := h.machine.String()
		if strings.Contains(name, "+") { // in the other byte order
			name = elf.Machine(bits.ReverseBytes16(uint16(h.machine))).String()
		}
		return wrong(fmt.Sprintf("is built for another machine (%s; this one is %s)", strings.TrimPrefix(name, "EM_"), machine),
			"install the one for this machine")
	}
	if err != nil {
		return wrong("is cut short", "install it again")
	}
	if h.kind != elf.ET_EXEC && h.kind != elf.ET_DYN {
		return wrong("is an ELF file, but no program", "link it, or correct the path")
	}
	for _, s := range segments {
		if s.kind != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(io.NewSectionReader(file, int64(s.offset), int64(min(s.size, unix.PathMax))))
		if err != nil {
			return nil
		}
		path := string(bytes.TrimRight(loader, "\x00"))
		if f := unusable(path); f != nil {
			return &fault{kind: "interpreter", problem: fmt.Sprintf("is linked for the loader %s, which %s", path, f.problem),
				hint: "install that system's C library, or link the program statically"}
		}
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

// An elfHeader holds the examined members of an ELF file's header, and an elfSegment those of a segment.
type elfHeader struct {
	kind    elf.Type
	machine elf.Machine
}

type elfSegment struct {
	kind         elf.ProgType
	offset, size uint64
}

// readELF reads an ELF file's header and its segments as the kernel does: in the machine's byte order, even if the file declares
// another. It returns an error if a loaded segment is not within the file.
func readELF(file *os.File) (h elfHeader, segments []elfSegment, err error) {
	st, err := file.Stat()
	if err != nil {
		return h, nil, err
	}
	ident := make([]byte, elf.EI_NIDENT)
	if _, err := file.ReadAt(ident, 0); err != nil {
		return h, nil, err
	}
	read := func(offset uint64, into any) error {
		return binary.Read(io.NewSectionReader(file, int64(offset), st.Size()), binary.NativeEndian, into)
	}
	if elf.Class(ident[elf.EI_CLASS]) == elf.ELFCLASS32 {
		var header elf.Header32
		if err := read(0, &header); err != nil {
			return h, nil, err
		}
		h.kind, h.machine = elf.Type(header.Type), elf.Machine(header.Machine)
		table := make([]elf.Prog32, header.Phnum)
		err = read(uint64(header.Phoff), table)
		for _, p := range table {
			segments = append(segments, elfSegment{elf.ProgType(p.Type), uint64(p.Off), uint64(p.Filesz)})
		}
	} else {
		var header elf.Header64
		if err := read(0, &header); err != nil {
			return h, nil, err
		}
		h.kind, h.machine = elf.Type(header.Type), elf.Machine(header.Machine)
		table := make([]elf.Prog64, header.Phnum)
		err = read(header.Phoff, table)
		for _, p := range table {
			segments = append(segments, elfSegment{elf.ProgType(p.Type), p.Off, p.Filesz})
		}
	}
	for _, s := range segments {
		if end := s.offset + s.size; (s.kind == elf.PT_LOAD || s.kind == elf.PT_INTERP) && (end < s.offset || end > uint64(st.Size())) {
			err = cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	return h, segments, err
}

// binfmtMisc is where the kernel lists the formats that it executes by means of other programs (binfmt_misc(5)).
const binfmtMisc = "/proc/sys/fs/binfmt_misc"

// isHandled reports whether a program is registered with the kernel that executes files like the one at path, which begins
// with head: an emulator for another machine, for example.
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
