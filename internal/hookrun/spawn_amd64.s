#include "textflag.h"

// func spawn(flags, stack, role uintptr) uintptr
TEXT ·spawn(SB),NOSPLIT,$0-32
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	role+16(FP), R12	// the system call does not change R12
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$56, AX	// clone
	SYSCALL
	TESTQ	AX, AX
	JEQ	new
	MOVQ	AX, ret+24(FP)
	RET
new:
	XORL	BP, BP
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)
	LEAQ	·begin(SB), R13	// the linker would take a direct call for an infinite recursion
	CALL	R13
	INT	$3	// it does not return
