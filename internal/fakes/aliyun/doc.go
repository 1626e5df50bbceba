// Package aliyun is a fake Aliyun DirectMail and SMS, which the sandbox command serves: one
// http.Handler that checks requests as the real services do, keeps accepted messages in an
// inbox, and fails on demand.
//
// At / it speaks Aliyun's RPC API, with signature V1 (HMAC-SHA1, in the parameters) or V3
// (ACS3-HMAC-SHA256, in the headers), and the actions SingleSendMail, DescAccountSummary,
// SendSms, QuerySendDetails and SendSmsVerifyCode. It also has a control side, for people and
// for tests in other processes:
//
//	GET    /inbox      the accepted messages, newest first; ?to= and ?limit=
//	DELETE /inbox      empties the inbox and the flow-control counters
//	GET    /faults     the faults that are left
//	PUT    /faults     replaces the faults; see Fault
//	GET    /settings   {"flowControl":false}
//	PUT    /settings   changes the given settings
//	GET    /requests   how often each action was called
//
// Tests in the same process use the methods of Server instead:
//
//	sb := aliyun.New(aliyun.Options{})
//	srv := httptest.NewServer(sb)
//	defer srv.Close()
//	defer sb.Close() // before srv.Close, which waits for hanging requests
//
// Nothing is logged: requests and inbox hold verification codes.
package aliyun
