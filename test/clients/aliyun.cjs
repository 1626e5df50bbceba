// Calls the sandbox with Aliyun's SDKs for SMS, DirectMail and phone number verification.
//
//   node aliyun.cjs ENDPOINT KEY-ID SECRET [TOKEN]
//
// It prints what each action answered, as JSON: the body of the answer, or the code of the error.
"use strict";

const { $OpenApiUtil } = require("@alicloud/openapi-core");
const sms = require("@alicloud/dysmsapi20170525");
const mail = require("@alicloud/dm20151123");
const verify = require("@alicloud/dypnsapi20170525");

const [endpoint, accessKeyId, accessKeySecret, securityToken] = process.argv.slice(2);
const minute = 60_000;
const config = new $OpenApiUtil.Config({
  endpoint, accessKeyId, accessKeySecret, securityToken, protocol: "http",
  connectTimeout: minute, readTimeout: minute,
});
const client = {
  sms: new sms.default(config), mail: new mail.default(config), verify: new verify.default(config),
};

// The day in China, as QuerySendDetails takes it.
const today = new Date().toLocaleDateString("sv", { timeZone: "Asia/Shanghai" }).replaceAll("-", "");
const query = { phoneNumber: "13012345678", sendDate: today, pageSize: 10, currentPage: 1 };
const number = { signName: "示例 & + * ~ ' ( ) !", outId: "sdk" };

const calls = {
  SendSms: () => client.sms.sendSms(new sms.SendSmsRequest({
    ...number, phoneNumbers: "13012345678", templateCode: "SMS_1", templateParam: '{"code":"482913"}',
  })),
  SendSmsVerifyCode: () => client.verify.sendSmsVerifyCode(new verify.SendSmsVerifyCodeRequest({
    ...number, phoneNumber: "13012345678", templateCode: "100001", templateParam: '{"code":"482914","min":"5"}',
  })),
  SingleSendMail: () => client.mail.singleSendMail(new mail.SingleSendMailRequest({
    accountName: "no-reply@mail.example.com", addressType: 1, replyToAddress: false, toAddress: "alice@example.com",
    subject: "代码 & + * ~ ' ( ) !", htmlBody: "<p>代码 482915 &amp; + % ~</p>",
  })),
  DescAccountSummary: () => client.mail.descAccountSummary(new mail.DescAccountSummaryRequest({})),
  QuerySendDetails: () => client.sms.querySendDetails(new sms.QuerySendDetailsRequest(query)),
  QueryVerifyDetails: () => client.verify.querySendDetails(new verify.QuerySendDetailsRequest(query)),
};

(async () => {
  const answers = {};
  for (const [name, call] of Object.entries(calls)) {
    try {
      answers[name] = { body: (await call()).body.toMap() };
    } catch (error) {
      if (!error.statusCode) throw error; // the sandbox did not answer
      answers[name] = { error: error.code, status: error.statusCode };
    }
  }
  console.log(JSON.stringify(answers));
})();
