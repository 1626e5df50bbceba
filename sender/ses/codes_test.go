package ses_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

// codes are the errors of SES and of all AWS, written down here a second time, so
// that the catalogue has something to be held against.
var codes = map[string]sender.Class{
	// SendEmail's own (API reference).
	"AccountSuspendedException":          sender.AccountDown,
	"BadRequestException":                sender.Permanent,
	"LimitExceededException":             sender.AccountDown,
	"MailFromDomainNotVerifiedException": sender.Misconfigured,
	"MessageRejected":                    sender.Permanent,
	"NotFoundException":                  sender.Misconfigured,
	"SendingPausedException":             sender.AccountDown,
	"TooManyRequestsException":           sender.Throttled,
	"InternalServiceErrorException":      sender.Unknown,
	"ConcurrentModificationException":    sender.Unknown,

	// All AWS's.
	"AccessDenied":                        sender.AccountDown,
	"AccessDeniedException":               sender.AccountDown,
	"ExpiredToken":                        sender.AccountDown,
	"ExpiredTokenException":               sender.AccountDown,
	"IncompleteSignature":                 sender.AccountDown,
	"IncompleteSignatureException":        sender.AccountDown,
	"InvalidClientTokenId":                sender.AccountDown,
	"InvalidSignatureException":           sender.AccountDown,
	"MissingAuthenticationToken":          sender.AccountDown,
	"MissingAuthenticationTokenException": sender.AccountDown,
	"NotAuthorized":                       sender.AccountDown,
	"OptInRequired":                       sender.AccountDown,
	"RequestExpired":                      sender.AccountDown,
	"RequestInTheFuture":                  sender.AccountDown,
	"RequestTimeTooSkewed":                sender.AccountDown,
	"SignatureDoesNotMatch":               sender.AccountDown,
	"SubscriptionRequiredException":       sender.AccountDown,
	"UnauthorizedOperation":               sender.AccountDown,
	"UnrecognizedClientException":         sender.AccountDown,

	"RequestLimitExceeded":      sender.Throttled,
	"RequestThrottled":          sender.Throttled,
	"RequestThrottledException": sender.Throttled,
	"SlowDown":                  sender.Throttled,
	"ThrottledException":        sender.Throttled,
	"Throttling":                sender.Throttled,
	"ThrottlingException":       sender.Throttled,

	"InvalidAction":             sender.Misconfigured,
	"UnknownOperationException": sender.Misconfigured,

	"InvalidParameterCombination":    sender.Permanent,
	"InvalidParameterValue":          sender.Permanent,
	"MalformedHttpRequestException":  sender.Permanent,
	"MissingParameter":               sender.Permanent,
	"RequestEntityTooLargeException": sender.Permanent,
	"ValidationError":                sender.Permanent,
	"ValidationException":            sender.Permanent,

	"RequestTimeoutException": sender.Unavailable,

	"InternalError":               sender.Unknown,
	"InternalFailure":             sender.Unknown,
	"InternalServerError":         sender.Unknown,
	"InternalServerException":     sender.Unknown,
	"RequestAbortedException":     sender.Unknown,
	"ServiceUnavailable":          sender.Unknown,
	"ServiceUnavailableException": sender.Unknown,
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
	srv := sendertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "R-1")
		if a.retryAfter != "" {
			w.Header().Set("Retry-After", a.retryAfter)
		}
		standin.AnswerSESError(w, a.status, standin.SESRefusal{Code: a.code, Message: a.message})
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

// TestCodes: a code that is known means the same whatever the status.
func TestCodes(t *testing.T) {
	for code, want := range codes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{400, 403, 500} {
				e := ask(t, answer{status: status, code: code + ":http://internal.amazon.com/coral/com.amazonaws.sesv2/", message: "Something."})
				if e.Class != want || e.Code != code || !strings.Contains(e.Detail, "Something.") || e.RequestID != "R-1" || e.RetryAfter != 0 {
					t.Errorf("%d: got %+v, want %s", status, e, want)
				}
			}
		})
	}
}

func TestCodesOfWhichNobodyKnows(t *testing.T) {
	for status, want := range map[int]sender.Class{
		400: sender.Permanent, 401: sender.AccountDown, 403: sender.AccountDown, 404: sender.Permanent, 409: sender.Permanent,
		429: sender.Throttled, 500: sender.Unknown, 502: sender.Unknown, 503: sender.Unknown, 302: sender.Unknown,
	} {
		if e := ask(t, answer{status: status, code: "SomethingNew", message: "m"}); e.Class != want || e.Code != "SomethingNew" {
			t.Errorf("%d: got %+v, want %s", status, e, want)
		}
	}
}

const unverified = standin.SESUnverified

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     answer
		class sender.Class
		says  string
	}{
		{"our address", answer{400, "MessageRejected", unverified + "no-reply@mail.example.com", ""}, sender.Misconfigured, "sender address"},
		{"our address, with its name", answer{400, "MessageRejected", unverified + "=?utf-8?q?Example?= <No-Reply@mail.example.com>", ""}, sender.Misconfigured, "sender address"},
		{"our domain", answer{400, "MessageRejected", unverified + "mail.example.com", ""}, sender.Misconfigured, "sender address"},
		{"our bounces", answer{400, "MessageRejected", unverified + "bounces@example.com", ""}, sender.Misconfigured, "sender address"},
		{"ours and the recipient", answer{400, "MessageRejected", unverified + to + ", no-reply@mail.example.com", ""}, sender.Misconfigured, "sender address"},
		{"the recipient", answer{400, "MessageRejected", unverified + to, ""}, sender.AccountDown, "sandbox"},
		{"the recipient, in lower case", answer{400, "MessageRejected", unverified + strings.ToLower(to) + "...", ""}, sender.AccountDown, "sandbox"},
		{"one that ends as the recipient", answer{400, "MessageRejected", unverified + "x" + to, ""}, sender.Misconfigured, "sender address"},
		{"nobody", answer{400, "MessageRejected", unverified, ""}, sender.Misconfigured, "sender address"},
		{"no list", answer{400, "MessageRejected", "The following identities failed the check", ""}, sender.Misconfigured, "sender address"},
		{"cut off", answer{400, "MessageRejected", unverified + "...", ""}, sender.Misconfigured, "sender address"},
		{"a recipient of a 5xx", answer{500, "InternalFailure", unverified + to, ""}, sender.Unknown, ""},
		{"content", answer{400, "MessageRejected", "Transaction failed: content", ""}, sender.Permanent, "content"},
		{"suspended", answer{400, "MessageRejected", "Sending suspended for this account.", ""}, sender.AccountDown, ""},
		{"paused", answer{400, "BadRequestException", "Account is paused", ""}, sender.AccountDown, ""},
		{"suppressed", answer{400, "MessageRejected", "Recipient is on the suppression list", ""}, sender.Permanent, "suppression"},
		{"daily, of old", answer{400, "Throttling", "Daily message quota exceeded.", ""}, sender.AccountDown, "24 hours"},
		{"daily", answer{429, "TooManyRequestsException", "Daily message quota exceeded.", ""}, sender.AccountDown, "24 hours"},
		{"daily, as a limit", answer{400, "LimitExceededException", "Daily message quota exceeded", ""}, sender.AccountDown, "24 hours"},
		{"rate", answer{400, "LimitExceededException", "Maximum sending rate exceeded.", ""}, sender.Throttled, ""},
		{"domain", answer{400, "BadRequestException", "Invalid domain name: 'x'", ""}, sender.Permanent, ""},
		{"local part", answer{400, "BadRequestException", "Missing final '@domain'", ""}, sender.Permanent, ""},
		{"configuration set", answer{400, "BadRequestException", "Configuration set <x> does not exist.", ""}, sender.Misconfigured, "does not exist"},
		{"an ARN", answer{400, "BadRequestException", "Invalid identity ARN", ""}, sender.Misconfigured, ""},
		{"a recipient that reads like an ARN", answer{400, "BadRequestException", "Illegal address <barn@learn.example>", ""}, sender.Permanent, ""},
		{"From", answer{400, "BadRequestException", "Missing required header 'From'.", ""}, sender.Misconfigured, ""},
		{"permission", answer{403, "AccessDeniedException", "User `arn:aws:iam::123456789012:user/x' is not authorized to perform `ses:SendEmail' on resource `arn:aws:ses:us-east-1:123456789012:identity/" + to + "'", ""}, sender.AccountDown, "ses:SendEmail"},
		{"early", answer{403, "InvalidSignatureException", "Signature not yet current: 1 is still later than 2", ""}, sender.AccountDown, "clock"},
		{"nothing said", answer{400, "RequestExpired", "", ""}, sender.AccountDown, "clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := ask(t, c.a, func(c *ses.Config) { c.FeedbackForwardingEmailAddress = "bounces@example.com" })
			if e.Class != c.class || !strings.Contains(e.Detail, c.says) || e.Code != c.a.code {
				t.Errorf("got %+v, want %s", e, c.class)
			}
		})
	}
}

// TestWhereTheCodeStands: in a header, or in the body under one of two names.
func TestWhereTheCodeStands(t *testing.T) {
	for _, body := range []string{`{"__type":"com.amazonaws.sesv2#MessageRejected","message":"m"}`, `{"code":"MessageRejected","Message":"m"}`} {
		srv := sendertest.Serve(t, sendertest.Answer(400, body))
		s := connector(t, srv.Endpoint)
		_, err := s.Send(t.Context(), render(t, s))
		if e := sendertest.Want(t, err, sender.Permanent); e.Code != "MessageRejected" {
			t.Errorf("%s: %+v", body, e)
		}
	}
}

// TestCodesThatAreNone are not repeated.
func TestCodesThatAreNone(t *testing.T) {
	for _, code := range []string{"a b", "a@example.com", "5", "<html>", strings.Repeat("x", 101)} {
		if e := ask(t, answer{status: 400, code: code, message: "m"}); e.Class != sender.Unknown || e.Code != "HTTP.400" {
			t.Errorf("%q: %+v", code, e)
		}
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

// TestDetails: one line, not too long, and nothing private, however it is written.
func TestDetails(t *testing.T) {
	long := strings.Repeat("码", 300)
	for _, c := range []struct{ name, message, want string }{
		{"as it is", "one\r\n two\tthree\n", "one two three"},
		{"long", long, long[:200*len("码")] + "…"},
		{"the recipient", "<" + strings.ToUpper(to) + "> is unfit", "<[hidden]> is unfit"},
		{"in a URL", "to=Alice%2Bx%40Example.com&", "to=[hidden]&"},
		{"in a URL twice", "to=Alice%252Bx%2540Example.com&", "to=[hidden]&"},
		{"base64", "to QWxpY2UreEBFeGFtcGxlLmNvbQ==", "to [hidden]=="},
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

// FuzzAnswer: whatever a message says, its error is of one line, not too long, and
// holds neither the recipient nor the code nor a key.
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
		if status >= 500 && e.Class == sender.Throttled && codes[code] != sender.Throttled {
			t.Errorf("%s, %d: a message alone says that it was not accepted", code, status)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}
