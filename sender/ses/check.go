package ses

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Check reads the account's state (GetAccount) and the sender's verification
// (GetEmailIdentity), and sends nothing. A key with no permission but to send is valid.
func (c *connector) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.client.timeout)
	defer cancel()
	out, a, err := call(ctx, c.client, time.Time{}, c.client.ses.GetAccount, &sesv2.GetAccountInput{})
	if err != nil {
		e := c.failure(err, a, nil)
		if !denied(e) {
			return c.ofCheck(e, err, a)
		}
	} else if e := account(out); e != nil {
		e.RequestID = a.requestID()
		if e.Class == sender.Unknown {
			return c.ofCheck(e, nil, a)
		}
		return e
	}
	if c.fromArn != "" {
		return nil // another account has the identity
	}
	if e := c.identity(ctx); e != nil {
		return e
	}
	return nil
}

// ofCheck returns the error of a request that sends no mail.
func (c *connector) ofCheck(e *sender.Error, err error, a *attempt) *sender.Error {
	if a.unfinished != nil {
		return e
	}
	return httpclient.ForCheck(e, a.status, ownCode(err) != "", c.redact(a.message, nil))
}

// denied reports whether AWS knows the key, but the key lacks this permission.
func denied(e *sender.Error) bool {
	return e.Code == "AccessDeniedException" || e.Code == "AccessDenied"
}

// account returns why an account can't send codes; nil if it can.
func account(out *sesv2.GetAccountOutput) *sender.Error {
	status := aws.ToString(out.EnforcementStatus)
	e := &sender.Error{Class: sender.AccountDown, Scope: sender.ScopeAccount}
	quota := out.SendQuota
	switch {
	case status == "" && quota == nil:
		return &sender.Error{Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.Answer", Detail: "the answer is not from SES"}
	case status == "SHUTDOWN":
		e.Code, e.Detail = "Account.Shutdown", "AWS has paused the account's sending (enforcement status SHUTDOWN); its console says why"
	case !out.SendingEnabled:
		e.Code, e.Detail = "Account.SendingDisabled", "the account's sending is disabled in this region"
	case !out.ProductionAccessEnabled:
		e.Code, e.Detail = "Account.Sandbox", "the account is still in the SES sandbox of this region, and reaches verified recipients only; ask AWS for production access"
	case quota != nil && quota.Max24HourSend >= 0 && quota.SentLast24Hours >= quota.Max24HourSend:
		e.Code, e.Detail = "Account.Quota", fmt.Sprintf("the account's quota of %.0f mails in 24 hours is used up", quota.Max24HourSend)
	default:
		return nil
	}
	return e
}

// maxIdentities bounds how many identities Check asks for.
const maxIdentities = 5

// identity reports a sender that is surely not verified: neither its address, nor its
// domain, nor a parent domain. If that can't be found out, there is no error.
func (c *connector) identity(ctx context.Context) *sender.Error {
	names := identities(c.from)
	for _, name := range names {
		out, a, err := call(ctx, c.client, time.Time{}, c.client.ses.GetEmailIdentity, &sesv2.GetEmailIdentityInput{EmailIdentity: aws.String(name)})
		var notFound *types.NotFoundException
		switch {
		case err == nil && (out.VerifiedForSendingStatus || out.IdentityType == ""):
			return nil
		case err != nil && !(errors.As(err, &notFound) && a.status == http.StatusNotFound):
			return nil
		}
	}
	return &sender.Error{
		Class: sender.Misconfigured, Scope: sender.ScopeConnector, Code: "Identity.NotVerified",
		Detail: "SES has not verified " + strings.Join(names, ", ") + " for sending in this region",
	}
}

// identities returns the identities that can verify an address: itself, its domain, and
// the parent domains.
func identities(address string) []string {
	names := []string{address}
	for d := domain(address); strings.Contains(d, ".") && len(names) < maxIdentities; _, d, _ = strings.Cut(d, ".") {
		names = append(names, d)
	}
	return names
}
