package ses_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

// codes are the errors of SES and of all AWS. This is a second copy, against which the
// catalogue is tested.
var codes = map[string]sendertest.Meaning{
	// SendEmail's own (API reference).
	"AccountSuspendedException":          {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"BadRequestException":                {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"LimitExceededException":             {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"MailFromDomainNotVerifiedException": {Class: sender.Misconfigured, Scope: sender.ScopeConnector},
	"MessageRejected":                    {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"NotFoundException":                  {Class: sender.Misconfigured, Scope: sender.ScopeConnector},
	"SendingPausedException":             {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"TooManyRequestsException":           {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"InternalServiceErrorException":      {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"ConcurrentModificationException":    {Class: sender.Unknown, Scope: sender.ScopeConnector},

	// All AWS's.
	"AccessDenied":                        {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"AccessDeniedException":               {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"ExpiredToken":                        {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"ExpiredTokenException":               {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"IncompleteSignature":                 {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"IncompleteSignatureException":        {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"InvalidClientTokenId":                {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"InvalidSignatureException":           {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"MissingAuthenticationToken":          {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"MissingAuthenticationTokenException": {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"NotAuthorized":                       {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"OptInRequired":                       {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"RequestExpired":                      {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"RequestInTheFuture":                  {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"RequestTimeTooSkewed":                {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"SignatureDoesNotMatch":               {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"SubscriptionRequiredException":       {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"UnauthorizedOperation":               {Class: sender.AccountDown, Scope: sender.ScopeAccount},
	"UnrecognizedClientException":         {Class: sender.AccountDown, Scope: sender.ScopeAccount},

	"RequestLimitExceeded":      {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"RequestThrottled":          {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"RequestThrottledException": {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"SlowDown":                  {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"ThrottledException":        {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"Throttling":                {Class: sender.Throttled, Scope: sender.ScopeConnector},
	"ThrottlingException":       {Class: sender.Throttled, Scope: sender.ScopeConnector},

	"InvalidAction":             {Class: sender.Misconfigured, Scope: sender.ScopeConnector},
	"UnknownOperationException": {Class: sender.Misconfigured, Scope: sender.ScopeConnector},

	"InvalidParameterCombination":    {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"InvalidParameterValue":          {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"MalformedHttpRequestException":  {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"MissingParameter":               {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"RequestEntityTooLargeException": {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"ValidationError":                {Class: sender.Permanent, Scope: sender.ScopeMessage},
	"ValidationException":            {Class: sender.Permanent, Scope: sender.ScopeMessage},

	"RequestTimeoutException": {Class: sender.Unavailable, Scope: sender.ScopeConnector},

	"InternalError":               {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"InternalFailure":             {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"InternalServerError":         {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"InternalServerException":     {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"RequestAbortedException":     {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"ServiceUnavailable":          {Class: sender.Unknown, Scope: sender.ScopeConnector},
	"ServiceUnavailableException": {Class: sender.Unknown, Scope: sender.ScopeConnector},
}

// answer is an error as a service of AWS that speaks JSON gives it.
type answer struct {
	status        int
	code, message string
	retryAfter    string
}

// ask sends a message to a server that always answers the same, and returns the
// error.
func ask(t testing.TB, a answer, change ...func(*ses.Config)) *sender.Error {
	t.Helper()
	srv := faulty.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "R-1")
		if a.retryAfter != "" {
			w.Header().Set("Retry-After", a.retryAfter)
		}
		fakeses.AnswerError(w, a.status, fakeses.Refusal{Code: a.code, Message: a.message})
	})
	s := connector(t, srv.Endpoint, change...)
	receipt, err := s.Send(t.Context(), render(t, s))
	if receipt != (sender.Receipt{}) {
		t.Errorf("a receipt: %+v", receipt)
	}
	e := sender.AsError(err)
	sendertest.Want(t, err, e.Class)
	sendertest.Hides(t, err, to, code)
	if n := len(srv.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
	return e
}

// TestCodes: a known code means the same with every status.
func TestCodes(t *testing.T) {
	for code, want := range codes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{403, 500} { // 400 is among the suite's answers
				e := ask(t, answer{status: status, code: code + ":http://internal.amazon.com/coral/com.amazonaws.sesv2/", message: "Something."})
				if e.Class != want.Class || e.Scope != want.Scope || e.Code != code || !strings.Contains(e.Detail, "Something.") || e.RequestID != "R-1" || e.RetryAfter != 0 {
					t.Errorf("%d: got %+v, want %+v", status, e, want)
				}
			}
		})
	}
}

// TestRefusedKeysAreNamed: the advice for keys that SES refuses names their settings.
func TestRefusedKeysAreNamed(t *testing.T) {
	for code, names := range map[string]bool{"InvalidClientTokenId": true, "SignatureDoesNotMatch": true, "AccessDenied": false} {
		e := ask(t, answer{status: 403, code: code, message: "Something."})
		if got := strings.Contains(e.Advice, "accessKeyId, accessKeySecret and sessionToken"); got != names {
			t.Errorf("%s: the advice names the keys' settings: %t, want %t: %s", code, got, names, e.Advice)
		}
	}
}

func TestCodesOfWhichNobodyKnows(t *testing.T) {
	for status, want := range map[int]sendertest.Meaning{
		400: {Class: sender.Permanent, Scope: sender.ScopeMessage}, 401: {Class: sender.AccountDown, Scope: sender.ScopeAccount}, 403: {Class: sender.AccountDown, Scope: sender.ScopeAccount}, 404: {Class: sender.Permanent, Scope: sender.ScopeMessage}, 409: {Class: sender.Permanent, Scope: sender.ScopeMessage},
		429: {Class: sender.Throttled, Scope: sender.ScopeConnector}, 500: {Class: sender.Unknown, Scope: sender.ScopeConnector}, 502: {Class: sender.Unknown, Scope: sender.ScopeConnector}, 503: {Class: sender.Unknown, Scope: sender.ScopeConnector}, 302: {Class: sender.Unknown, Scope: sender.ScopeConnector},
	} {
		if e := ask(t, answer{status: status, code: "SomethingNew", message: "m"}); e.Class != want.Class || e.Scope != want.Scope || e.Code != "SomethingNew" {
			t.Errorf("%d: got %+v, want %+v", status, e, want)
		}
	}
}

const unverified = fakeses.Unverified

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     answer
		class sender.Class
		scope sender.Scope
		says  string
	}{
		{"our address", answer{400, "MessageRejected", unverified + "no-reply@mail.example.com", ""}, sender.Misconfigured, sender.ScopeConnector, "sender address"},
		{"our address, with its name", answer{400, "MessageRejected", unverified + "=?utf-8?q?Example?= <No-Reply@mail.example.com>", ""}, sender.Misconfigured, sender.ScopeConnector, "sender address"},
		{"our domain", answer{400, "MessageRejected", unverified + "mail.example.com", ""}, sender.Misconfigured, sender.ScopeConnector, "sender address"},
		{"our bounces", answer{400, "MessageRejected", unverified + "bounces@example.com", ""}, sender.Misconfigured, sender.ScopeConnector, "sender address"},
		{"ours and the recipient", answer{400, "MessageRejected", unverified + to + ", no-reply@mail.example.com", ""}, sender.Misconfigured, sender.ScopeConnector, "sender address"},
		{"the recipient", answer{400, "MessageRejected", unverified + to, ""}, sender.AccountDown, sender.ScopeRecipient, "sandbox"},
		{"the recipient, in lower case", answer{400, "MessageRejected", unverified + strings.ToLower(to) + "...", ""}, sender.AccountDown, sender.ScopeRecipient, "sandbox"},
		{"one that ends as the recipient", answer{400, "MessageRejected", unverified + "x" + to, ""}, sender.Misconfigured, sender.ScopeMessage, "sender address"},
		{"nobody", answer{400, "MessageRejected", unverified, ""}, sender.Misconfigured, sender.ScopeMessage, "sender address"},
		{"no list", answer{400, "MessageRejected", "The following identities failed the check", ""}, sender.Misconfigured, sender.ScopeMessage, "sender address"},
		{"cut off", answer{400, "MessageRejected", unverified + "...", ""}, sender.Misconfigured, sender.ScopeMessage, "sender address"},
		{"a recipient of a 5xx", answer{500, "InternalFailure", unverified + to, ""}, sender.Unknown, sender.ScopeConnector, ""},
		{"content", answer{400, "MessageRejected", "Transaction failed: content", ""}, sender.Permanent, sender.ScopeMessage, "content"},
		{"suspended", answer{400, "MessageRejected", "Sending suspended for this account.", ""}, sender.AccountDown, sender.ScopeAccount, ""},
		{"paused", answer{400, "BadRequestException", "Account is paused", ""}, sender.AccountDown, sender.ScopeAccount, ""},
		{"suppressed", answer{400, "MessageRejected", "Recipient is on the suppression list", ""}, sender.Permanent, sender.ScopeRecipient, "suppression"},
		{"daily, of old", answer{400, "Throttling", "Daily message quota exceeded.", ""}, sender.AccountDown, sender.ScopeAccount, "24 hours"},
		{"daily", answer{429, "TooManyRequestsException", "Daily message quota exceeded.", ""}, sender.AccountDown, sender.ScopeAccount, "24 hours"},
		{"daily, as a limit", answer{400, "LimitExceededException", "Daily message quota exceeded", ""}, sender.AccountDown, sender.ScopeAccount, "24 hours"},
		{"rate", answer{400, "LimitExceededException", "Maximum sending rate exceeded.", ""}, sender.Throttled, sender.ScopeConnector, ""},
		{"domain", answer{400, "BadRequestException", "Invalid domain name: 'x'", ""}, sender.Permanent, sender.ScopeMessage, ""},
		{"local part", answer{400, "BadRequestException", "Missing final '@domain'", ""}, sender.Permanent, sender.ScopeMessage, ""},
		{"configuration set", answer{400, "BadRequestException", "Configuration set <x> does not exist.", ""}, sender.Misconfigured, sender.ScopeConnector, "does not exist"},
		{"an ARN", answer{400, "BadRequestException", "Invalid identity ARN", ""}, sender.Misconfigured, sender.ScopeConnector, ""},
		{"a recipient that reads like an ARN", answer{400, "BadRequestException", "Illegal address <barn@learn.example>", ""}, sender.Permanent, sender.ScopeMessage, ""},
		{"From", answer{400, "BadRequestException", "Missing required header 'From'.", ""}, sender.Misconfigured, sender.ScopeConnector, ""},
		{"permission", answer{403, "AccessDeniedException", "User `arn:aws:iam::123456789012:user/x' is not authorized to perform `ses:SendEmail' on resource `arn:aws:ses:us-east-1:123456789012:identity/" + to + "'", ""}, sender.AccountDown, sender.ScopeAccount, "ses:SendEmail"},
		{"early", answer{403, "InvalidSignatureException", "Signature not yet current: 1 is still later than 2", ""}, sender.AccountDown, sender.ScopeAccount, "clock"},
		{"nothing said", answer{400, "RequestExpired", "", ""}, sender.AccountDown, sender.ScopeAccount, "clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := ask(t, c.a, func(c *ses.Config) { c.FeedbackForwardingEmailAddress = "bounces@example.com" })
			if e.Class != c.class || e.Scope != c.scope || !strings.Contains(e.Detail, c.says) || e.Code != c.a.code {
				t.Errorf("got %+v, want %s of the %v", e, c.class, c.scope)
			}
		})
	}
}

// TestTheRecipientDecidesNothing: text of the recipient or the mail that SES repeats does
// not change the meaning of an error.
func TestTheRecipientDecidesNothing(t *testing.T) {
	c := good()
	c.Endpoint = "http://127.0.0.1:1"
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*sender.Message{
		{To: "suppression@list.example"},
		{To: "arn:aws@configuration-set.example"},
		{To: `"mail from"@example.org`},
		{To: `"x, no-reply@mail.example.com"@example.org`},
		{To: `"account is paused"@example.org`},
		{To: `"sending rate exceeded"@example.org`},
		{To: to, Subject: "Sending suspended for this account", FromAlias: "Configuration Set", Text: "The mail from\nidentity ARN", HTML: "<p>Daily message quota exceeded</p>"},
	} {
		for _, c := range []struct{ code, said string }{
			{"BadRequestException", "Illegal address"},
			{"MessageRejected", "Transaction failed"},
			{"MessageRejected", unverified + m.To},
			{"ValidationException", "Invalid value"},
			{"LimitExceededException", "No more"},
			{"TooManyRequestsException", "Not so fast"},
			{"NotFoundException", "It is not there"},
		} {
			want := ses.ClassifyForTest(s, c.code, c.said, 400, m)
			if strings.HasPrefix(c.said, unverified) {
				sendertest.Equal(t, m.To+": the class", want.Class, sender.AccountDown)
				sendertest.Equal(t, m.To+": the scope", want.Scope, sender.ScopeRecipient)
			}
			local := strings.Trim(m.To[:strings.LastIndexByte(m.To, '@')], `"`)
			for _, word := range []string{m.To, "<" + strings.ToUpper(m.To) + ">", "'" + local + "'", m.Subject, m.FromAlias, m.Text, m.HTML} {
				e := ses.ClassifyForTest(s, c.code, word+" "+c.said, 400, m)
				if e.Class != want.Class || e.Scope != want.Scope {
					t.Errorf("%s: %q is %v of the %v, without %q %v of the %v", c.code, word+" "+c.said, e.Class, e.Scope, word, want.Class, want.Scope)
				}
			}
		}
	}
}

// TestWhereTheCodeStands: in a header, or in the body under one of two names.
func TestWhereTheCodeStands(t *testing.T) {
	for _, body := range []string{`{"__type":"com.amazonaws.sesv2#MessageRejected","message":"m"}`, `{"code":"MessageRejected","Message":"m"}`} {
		t.Run(body, func(t *testing.T) {
			srv := faulty.Serve(t, faulty.Answer(400, body))
			s := connector(t, srv.Endpoint)
			_, err := s.Send(t.Context(), render(t, s))
			sendertest.WantCode(t, err, sender.Permanent, "MessageRejected")
		})
	}
}

// TestCodesThatAreNone are not repeated.
func TestCodesThatAreNone(t *testing.T) {
	for _, code := range []string{"a b", "a@example.com", "5", "<html>", strings.Repeat("x", 101)} {
		e := ask(t, answer{status: 400, code: code, message: "m"})
		sendertest.Equal(t, code+": the class", e.Class, sender.Unknown)
		sendertest.Equal(t, code+": the code", e.Code, "HTTP.400")
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "7.5": 0, "soon": 0, "99999": time.Hour, "65535": time.Hour,
		"Fri, 31 Dec 1999 23:59:59 GMT": 0, "Fri, 31 Dec 2999 23:59:59 GMT": time.Hour,
	} {
		for _, code := range []string{"TooManyRequestsException", ""} {
			a := answer{http.StatusTooManyRequests, code, "Maximum sending rate exceeded.", value}
			if e := ask(t, a); e.Class != sender.Throttled || e.RetryAfter != want {
				t.Errorf("%q: got %+v, want %s", value, e, want)
			}
		}
	}
}

// TestDetails: a detail is one line, not too long, and has nothing private in any form.
func TestDetails(t *testing.T) {
	long := strings.Repeat("码", 300)
	for _, c := range []struct{ name, message, want string }{
		{"as it is", "one\r\n two\tthree\n", "one two three"},
		{"long", long, long[:200*len("码")] + "…"},
		{"the recipient", "<" + strings.ToUpper(to) + "> is unfit", "<[hidden]> is unfit"},
		{"in a URL", "to=Alice%2Bx%40Example.com&", "to=[hidden]&"},
		{"in a URL twice", "to=Alice%252Bx%2540Example.com&", "to=[hidden]&"},
		{"base64", "to QWxpY2UreEBFeGFtcGxlLmNvbQ==", "to [hidden]"},
		{"the code", "x " + strings.ToLower(code) + " x", "x [hidden] x"},
		{"the subject", "bad subject: SignIn 验证码: " + code, "bad subject: [hidden]"},
		{"the HTML", "bad: " + want().Content.Simple.Body.HTML.Data, "bad: [hidden]"},
		{"the sender's name", `bad: Example 示例 Shop, "A"`, "bad: [hidden]"},
		{"the key", "Credential=" + keyID + "/x " + keySecret, "Credential=[hidden]/x [hidden]"},
		{"what was signed", "No.\n\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:t", "No. […]"},
		{"the header", "not a valid pair in Authorization header: 'AWS4-HMAC-SHA256 Credential=x'", "not a valid pair in […]"},
		{"our own address", "no no-reply@mail.example.com", "no no-reply@mail.example.com"},
		{"no text at all", "\xff\xfe", "\uFFFD\uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if e := ask(t, answer{400, "ValidationException", c.message, ""}); e.Detail != c.want {
				t.Errorf("got %q, want %q", e.Detail, c.want)
			}
		})
	}
}

// FuzzAnswer: for any message, the error is one line, not too long, and holds neither the
// recipient nor the code nor a key.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{unverified + to + ", <a@b>...", "Failed The Check:", "the Authorization header " + keyID, "x" + code + "x", "\xff" + to, strings.Repeat("İ", 9) + "failed the check in region: " + to} {
		f.Add("MessageRejected", seed, 400)
	}
	c := good()
	c.Endpoint = "http://127.0.0.1:1"
	s, err := c.New()
	if err != nil {
		f.Fatal(err)
	}
	m, err := s.Render(signIn())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code, message string, status int) {
		status = max(status, 100) // there is an answer
		e := ses.ClassifyForTest(s, code, message, status, m)
		sendertest.Want(t, e, e.Class)
		sendertest.Hides(t, &sender.Error{Detail: e.Detail}, to, "Qx7z9K", keyID, keySecret)
		if strings.ContainsAny(e.Code, " \r\n@") {
			t.Errorf("%q is no code", e.Code)
		}
		if len([]rune(e.Detail)) > 400 {
			t.Errorf("%d characters", len([]rune(e.Detail)))
		}
		if status >= 500 && e.Class == sender.Throttled && codes[code].Class != sender.Throttled {
			t.Errorf("%s, %d: a message alone says that it was not accepted", code, status)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}
