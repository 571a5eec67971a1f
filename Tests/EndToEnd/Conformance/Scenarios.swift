/// Every scenario of `Tests/Conformance` by its name: one that is not run any more is missed here. Names are the official suite's,
/// its larger ones with a part after a slash; those it does not have are ours.
enum Scenarios {
    static let legacy = names(
        """
        completion-complete tools-list json-schema-2020-12 tools-call-simple-text tools-call-image tools-call-audio
        tools-call-embedded-resource tools-call-mixed-content tools-call-error resources-list resources-read-text
        resources-read-binary resources-templates-read prompts-list prompts-get-simple prompts-get-with-args
        prompts-get-embedded-resource prompts-get-with-image server-initialize server-session-lifecycle ping logging-set-level
        tools-call-with-logging tools-call-with-logging-without-get tools-call-with-progress tools-call-sampling
        tools-call-elicitation elicitation-sep1034-defaults elicitation-sep1330-enums server-sse-multiple-streams server-sse-polling
        resources-subscribe resources-unsubscribe dns-rebinding-protection http-rules http-get-list-changed
        http-get-resource-updated resource-not-found roots-list cancel undeclared-capability logging-at-once initialize-versions
        batch elicitation-declined elicitation-error elicitation-undeclared questions-at-once three-questions two-rounds equal-ids
        """)

    static let modern = names(
        """
        completion-complete tools-list json-schema-2020-12 tools-call-simple-text tools-call-image tools-call-audio
        tools-call-embedded-resource tools-call-mixed-content tools-call-error resources-list resources-read-text
        resources-read-binary resources-templates-read prompts-list prompts-get-simple prompts-get-with-args
        prompts-get-embedded-resource prompts-get-with-image tools-call-with-progress server-sse-multiple-streams
        sep-2164-resource-not-found dns-rebinding-protection cancel caching result-server-info tools-list-deterministic
        tasks-not-shown log-level log-level-while-listening log-level-after-abandoned log-level-at-once
        server-stateless/missing-meta server-stateless/client-info-optional server-stateless/unparsable server-stateless/discover
        server-stateless/unsupported-version server-stateless/version-header server-stateless/version-header-missing
        server-stateless/undeclared-capability server-stateless/removed-methods server-stateless/unknown-method
        server-stateless/bad-params server-stateless/no-requests-on-stream server-stateless/no-log-without-level
        server-stateless/no-session server-stateless/get-and-delete server-stateless/equal-ids server-stateless/listen-acknowledged
        server-stateless/listen-tools-changed server-stateless/listen-prompts-changed server-stateless/listen-resource-updated
        server-stateless/listen-filter server-stateless/listen-two http-header-validation/method http-header-validation/name
        http-header-validation/case-of-names http-header-validation/whitespace http-header-validation/base64
        http-custom-header-server-validation/accepted http-custom-header-server-validation/integer
        http-custom-header-server-validation/mismatch http-custom-header-server-validation/bad-base64
        http-custom-header-server-validation/missing http-custom-header-server-validation/not-expected
        http-custom-header-server-validation/annotation-kept input-required-result-basic-elicitation
        input-required-result-server-keys input-required-result-declined input-required-result-basic-sampling
        input-required-result-basic-list-roots input-required-result-request-state input-required-result-multiple-input-requests
        input-required-result-multi-round input-required-result-missing-input-response input-required-result-answers-without-state
        input-required-result-one-by-one input-required-result-abandoned input-required-result-at-once
        input-required-result-partial-responses input-required-result-non-tool-request input-required-result-result-type
        input-required-result-unsupported-methods input-required-result-tampered-state input-required-result-foreign-state
        input-required-result-capability-check input-required-result-ignore-extra-params input-required-result-validate-input
        input-required-result-new-id input-required-result-url-elicitation
        """)

    private static func names(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }
}
