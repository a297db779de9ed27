#include "textflag.h"

// func spawn(flags, stack, role uintptr) uintptr
TEXT ·spawn(SB),NOSPLIT,$0-32
	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	role+16(FP), R12	// the system call does not change R12
	MOVD	ZR, R2
	MOVD	ZR, R3
	MOVD	ZR, R4
	MOVD	$220, R8	// clone
	SVC
	CBZ	R0, new
	MOVD	R0, ret+24(FP)
	RET
new:
	MOVD	ZR, R29
	SUB	$32, RSP
	MOVD	R12, 8(RSP)
	MOVD	$·begin(SB), R13	// the linker would take a direct call for an infinite recursion
	BL	(R13)
	UNDEF	// it does not return
