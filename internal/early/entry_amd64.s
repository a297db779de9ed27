#include "textflag.h"

// Thread-local storage that holds no goroutine.
GLOBL noThread<>(SB), NOPTR, $16

// The program's entry point. The kernel's stack pointer points to argc, argv, nil, the environment, nil, and the auxiliary
// vector. Go's own entry needs it unchanged.
//
// The call goes through a wrapper that the compiler generates for assembly. The wrapper loads the current goroutine from
// thread-local storage, so there must be some, with a nil goroutine in it. Go's start sets up its own.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, R12
	ANDQ	$~15, SP
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)	// start's argument
	MOVQ	R12, 8(SP)
	MOVQ	$0x1002, DI	// ARCH_SET_FS
	LEAQ	noThread<>+8(SB), SI	// the goroutine is 8 bytes before it
	MOVQ	$158, AX	// arch_prctl
	SYSCALL
	CALL	·start(SB)
	MOVQ	8(SP), SP
	JMP	_rt0_amd64_linux(SB)
