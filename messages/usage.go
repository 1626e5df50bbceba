package messages

import (
	"fmt"
	"strings"
)

// Type is the purpose of a code: Logto's usage type (its TemplateType).
type Type string

// The usage types. Each can have a template of its own. Every connector has templates for
// the first four; the others fall back to the template of Generic.
const (
	// Register: a new user signs up.
	Register Type = "Register"
	// SignIn: a user signs in.
	SignIn Type = "SignIn"
	// ForgotPassword: a user sets a new password.
	ForgotPassword Type = "ForgotPassword"
	// Generic: anything else.
	Generic Type = "Generic"
	// OrganizationInvitation: an organization invites somebody with a link.
	OrganizationInvitation Type = "OrganizationInvitation"
	// UserPermissionValidation: a user shows who they are before a sensitive change.
	UserPermissionValidation Type = "UserPermissionValidation"
	// BindNewIdentifier: a user adds an address to sign in with.
	BindNewIdentifier Type = "BindNewIdentifier"
	// MfaVerification: the code is the second factor of a sign-in.
	MfaVerification Type = "MfaVerification"
	// BindMfa: a user adds an address as a second factor.
	BindMfa Type = "BindMfa"
	// Test is an older name of Generic, with the same meaning.
	Test Type = "Test"
)

// Types lists the nine usage types, the four that every connector needs first.
func Types() []Type {
	return []Type{
		Register, SignIn, ForgotPassword, Generic,
		OrganizationInvitation, UserPermissionValidation, BindNewIdentifier, MfaVerification, BindMfa,
	}
}

// Canonical returns Generic for Test, and any other type as it is.
func (t Type) Canonical() Type {
	if t == Test {
		return Generic
	}
	return t
}

// Valid reports whether t is a usage type, Test included.
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

// errType does not show the wrong type: it can be a code in the wrong place.
func errType(wrong Type) error {
	names := make([]string, 0, len(Types()))
	for _, t := range Types() {
		if strings.EqualFold(string(t), string(wrong)) {
			return &FieldError{"type", fmt.Sprintf("is not a usage type; did you mean %s?", t)}
		}
		names = append(names, string(t))
	}
	return &FieldError{"type", "is not a usage type; it is one of " + strings.Join(names, ", ")}
}
