package ses

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/codeferry/codeferry/sender"
)

// Check asks for the account's state (GetAccount) and for the sender's
// verification (GetEmailIdentity), and sends nothing. A key that may send and
// nothing else has nothing wrong with it.
func (c *connector) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.client.timeout)
	defer cancel()
	out, a, err := call(ctx, c.client, c.client.ses.GetAccount, &sesv2.GetAccountInput{})
	if err != nil {
		e := c.failure(err, a, nil)
		if !denied(e) {
			return e
		}
	} else if e := account(out); e != nil {
		e.RequestID = a.requestID()
		return e
	}
	if c.fromArn != "" {
		return nil // the identity is another account's
	}
	if e := c.identity(ctx); e != nil {
		return e
	}
	return nil
}

// denied tells whether AWS knows the key and only does not let it ask.
func denied(e *sender.Error) bool {
	return e.Code == "AccessDeniedException" || e.Code == "AccessDenied"
}

// account returns why an account can't send codes; nil where it can.
func account(out *sesv2.GetAccountOutput) *sender.Error {
	status := aws.ToString(out.EnforcementStatus)
	e := &sender.Error{Class: sender.AccountDown}
	quota := out.SendQuota
	switch {
	case status == "" && quota == nil:
		return &sender.Error{Class: sender.Unknown, Code: "SDK.Answer", Detail: "the answer is none of SES"} // whoever it was
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

// maxIdentities bounds how many identities are asked for.
const maxIdentities = 5

// identity reports a sender that is surely not verified: neither its address nor
// its domain nor one that this is below. What can't be found out is no error.
func (c *connector) identity(ctx context.Context) *sender.Error {
	names := identities(c.from)
	for _, name := range names {
		out, a, err := call(ctx, c.client, c.client.ses.GetEmailIdentity, &sesv2.GetEmailIdentityInput{EmailIdentity: aws.String(name)})
		var notFound *types.NotFoundException
		switch {
		case err == nil && (out.VerifiedForSendingStatus || out.IdentityType == ""):
			return nil
		case err != nil && !(errors.As(err, &notFound) && a.status == http.StatusNotFound):
			return nil
		}
	}
	return &sender.Error{
		Class: sender.Misconfigured, Code: "Identity.NotVerified",
		Detail: "SES has not verified " + strings.Join(names, ", ") + " for sending in this region",
	}
}

// identities returns what may stand for an address: itself, its domain, and the
// domains above that.
func identities(address string) []string {
	names := []string{address}
	for d := domain(address); strings.Contains(d, ".") && len(names) < maxIdentities; _, d, _ = strings.Cut(d, ".") {
		names = append(names, d)
	}
	return names
}
