package messages

import (
	"fmt"
	"strings"
)

// Type is what a code is for: Logto's usage type (its TemplateType).
type Type string

// The usage types.
const (
	Register                 Type = "Register"
	SignIn                   Type = "SignIn"
	ForgotPassword           Type = "ForgotPassword"
	Generic                  Type = "Generic"
	OrganizationInvitation   Type = "OrganizationInvitation"
	UserPermissionValidation Type = "UserPermissionValidation"
	BindNewIdentifier        Type = "BindNewIdentifier"
	MfaVerification          Type = "MfaVerification"
	BindMfa                  Type = "BindMfa"
	// Test is an older name of Generic, and read as such.
	Test Type = "Test"
)

// Types lists the nine usage types, the four that every connector needs first.
func Types() []Type {
	return []Type{
		Register, SignIn, ForgotPassword, Generic,
		OrganizationInvitation, UserPermissionValidation, BindNewIdentifier, MfaVerification, BindMfa,
	}
}

// RequiredTypes lists the four usage types that every connector must have a
// template for, as in Logto; the others fall back to Generic's.
func RequiredTypes() []Type { return Types()[:4] }

// Canonical returns Generic for Test, and any other type as it is.
func (t Type) Canonical() Type {
	if t == Test {
		return Generic
	}
	return t
}

// Valid tells whether t is a usage type; Test is one.
func (t Type) Valid() bool {
	switch t {
	case Register, SignIn, ForgotPassword, Generic, OrganizationInvitation, UserPermissionValidation,
		BindNewIdentifier, MfaVerification, BindMfa, Test:
		return true
	}
	return false
}

func checkType(t Type) error {
	switch {
	case t == "":
		return &FieldError{"type", "is missing; it is a usage type such as SignIn"}
	case !t.Valid():
		return errType(t)
	}
	return nil
}

// errType says what a type has to be, and not what it is: that may be a code
// that was put in the wrong place.
func errType(wrong Type) error {
	names := make([]string, 0, len(Types()))
	for _, t := range Types() {
		if strings.EqualFold(string(t), string(wrong)) {
			return &FieldError{"type", fmt.Sprintf("is no usage type; did you mean %s?", t)}
		}
		names = append(names, string(t))
	}
	return &FieldError{"type", "is no usage type; it is one of " + strings.Join(names, ", ")}
}
