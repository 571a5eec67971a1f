/// What the bridge does for each part of the protocol, for each era of client and server: `docs/translation.md` is printed from this,
/// and each entry names what proves it.
struct TranslationTable {
    /// What happens in one cell.
    struct Entry: Sendable {
        var text: String
        /// Scenarios of the cell, or names of test functions.
        var proofs: [String]
    }

    struct Row: Sendable {
        var part: String
        /// Legacy client and server; legacy client, modern server; modern client, legacy server; modern client and server.
        var cells: [Entry]
    }

    static let cells = ["A: legacy → legacy", "B: legacy → modern", "C: modern → legacy", "D: modern → modern"]

    private static func row(_ part: String, _ cells: (String, String)...) -> Row {
        Row(part: part, cells: cells.map { Entry(text: $0.0, proofs: $0.1.split(separator: " ").map(String.init)) })
    }

    private static func passed(_ part: String, legacy: String, modern: String) -> Row {
        row(
            part, ("passed on", legacy), ("passed on; results lose what only the modern dialect has", legacy),
            ("passed on; results get `resultType` and the server's name", modern), ("passed on", modern))
    }

    static let rows: [Row] = [
        row(
            "handshake", ("answered from the child's own", "server-initialize initialize-versions"),
            ("`initialize` answered from `server/discover`", "server-initialize initialize-versions"),
            ("`server/discover` answered from `initialize`", "server-stateless/discover"), ("passed on", "server-stateless/discover")),
        passed("tools/list, tools/call", legacy: "tools-list tools-call-simple-text tools-call-error", modern: "tools-list tools-call-simple-text tools-call-error"),
        passed("prompts", legacy: "prompts-list prompts-get-with-args", modern: "prompts-list prompts-get-with-args"),
        row(
            "resources, templates", ("passed on", "resources-list resources-templates-read resource-not-found"),
            ("passed on; not found is −32002", "resources-list resources-templates-read resource-not-found"),
            ("passed on; not found is −32602 with the URI", "resources-list resources-templates-read sep-2164-resource-not-found"),
            ("passed on", "resources-list resources-templates-read sep-2164-resource-not-found")),
        passed("completion", legacy: "completion-complete", modern: "completion-complete"),
        row(
            "pagination", ("cursors passed on as they are", "cursorsArePassedOn"), ("cursors passed on as they are", "cursorsArePassedOn"),
            ("cursors passed on as they are; `ttlMs` 0, `cacheScope` private", "cursorsArePassedOn cachingIsTheModernServers"),
            ("cursors passed on as they are", "cursorsArePassedOn cachingIsTheModernServers")),
        row(
            "progress", ("own token towards the child, the caller's on the way back", "tools-call-with-progress"),
            ("the same", "tools-call-with-progress"), ("the same", "tools-call-with-progress"), ("the same", "tools-call-with-progress")),
        row(
            "cancellation", ("`notifications/cancelled` under the child's id", "cancel"), ("the same", "cancel"),
            ("a closed stream becomes `notifications/cancelled`", "cancel"), ("the same", "cancel")),
        row(
            "logging",
            (
                "`logging/setLevel` kept, set at the child; messages on the call's stream",
                "answersPingAndLevelsItself legacyChildrenSeeOnlyTheirDialect tools-call-with-logging"
            ),
            (
                "the level of `logging/setLevel` goes into each request's `_meta`",
                "answersPingAndLevelsItself modernChildrenGetWhatTheRevisionRequires tools-call-with-logging"
            ),
            (
                "the level in `_meta` is set at the child; nothing without it",
                "legacyChildrenSeeOnlyTheirDialect log-level server-stateless/no-log-without-level"
            ),
            ("passed on", "log-level server-stateless/no-log-without-level")),
        row(
            "resource subscriptions", ("kept for the session, asked of the child", "resources-subscribe resources-unsubscribe"),
            ("become `subscriptions/listen`", "resources-subscribe resources-unsubscribe"),
            ("`subscriptions/listen` becomes `resources/subscribe`", "server-stateless/listen-resource-updated"),
            ("passed on, outlives the child", "server-stateless/listen-resource-updated")),
        row(
            "list changes", ("on the GET stream", "http-get-list-changed"), ("from a subscription of ours to the GET stream", "http-get-list-changed"),
            ("acknowledged as far as the child tells them", "server-stateless/listen-tools-changed server-stateless/listen-filter"),
            ("passed on, as far as asked and acknowledged", "server-stateless/listen-filter onlyWhatWasAskedAndGrantedIsHeard")),
        row(
            "elicitation, form", ("a request on the call's stream", "tools-call-elicitation elicitation-declined"),
            ("`input_required` becomes that request, its answer the next round", "tools-call-elicitation two-rounds"),
            ("the child's request becomes `input_required`", "input-required-result-basic-elicitation input-required-result-multi-round"),
            ("passed on", "input-required-result-basic-elicitation input-required-result-multi-round")),
        row(
            "elicitation, URL", ("the same, where the client declared `url`", "whatWasDeclaredIsAsked"), ("the same", "questionsRideTheCallsStream"),
            ("the same, and −32042 too", "input-required-result-url-elicitation aModernClientIsAskedAndCallsAgain"),
            ("passed on", "input-required-result-url-elicitation")),
        row(
            "a URL elicitation's completion",
            ("on the GET stream, else on the stream of an open call", "thatAnElicitationByURLIsOverIsLegacyClientsToHear"),
            ("none comes: not in the server's revision", "thatAnElicitationByURLIsOverIsLegacyClientsToHear"),
            ("not passed on: the client's revision has no such message", "thatAnElicitationByURLIsOverIsLegacyClientsToHear"),
            ("not in the revision", "thatAnElicitationByURLIsOverIsLegacyClientsToHear")),
        row(
            "sampling", ("a request on the call's stream", "tools-call-sampling"), ("by `input_required`", "tools-call-sampling"),
            ("the child's request becomes `input_required`", "input-required-result-basic-sampling"),
            ("passed on", "input-required-result-basic-sampling")),
        row(
            "roots", ("a request on the call's stream", "roots-list"), ("by `input_required`", "roots-list"),
            ("the child's request becomes `input_required`", "input-required-result-basic-list-roots"),
            ("passed on", "input-required-result-basic-list-roots")),
        row(
            "a question outside of calls",
            (
                "on the GET stream; where none is opened within 5 s −32603",
                "aQuestionOutsideOfCallsIsAskedAndAnswered theSessionsStreamAsks whatComesBeforeTheListenerWaitsForIt"
            ),
            ("none comes: not in the server's revision", "aModernServerHearsNothingOfIt"),
            ("−32603 after 5 s: no call is open, and the revision has no stream for it", "aQuestionThatNobodyHearsEnds"),
            ("not in the revision", "aModernServerHearsNothingOfIt")),
        row(
            "a question that outlives its call",
            ("the client goes on being asked", "aQuestionOutlivesTheCallItMetWith"),
            ("none does: not in the server's revision", "aModernServerHearsNothingOfIt"),
            ("taken back with the call's answer, −32603", "aServerThatGoesOnWithoutTheAnswer"),
            ("not in the revision", "aModernServerHearsNothingOfIt")),
        row(
            "other messages outside of calls",
            ("on the GET stream, declared or not", "whatIsSaidIsHeard"),
            ("those of the subscription of ours", "changesReachTheGETStream"),
            ("list changes and updates alone, as acknowledged: the revision has no others", "aLegacyChildIsListenedToThroughItsOwnMeans"),
            ("passed on, as far as asked and acknowledged", "onlyWhatWasAskedAndGrantedIsHeard")),
        row(
            "`roots/list_changed`",
            ("passed on", "changedRootsAreTold aClientsRootsChange"),
            ("ends here: such a server asks in each call", "aModernServerHearsNothingOfIt"),
            ("not in the client's revision", "whoIsNotAsked"),
            ("not in the revision", "aModernServerHearsNothingOfIt")),
        row(
            "a question that the client did not declare", ("refused to the child, −32601", "whatWasNotDeclaredIsRefused"),
            ("the call ends, −32603", "whatWasNotDeclaredIsNotAsked"), ("refused to the child, −32601", "whatWasNotDeclaredIsRefused"),
            ("the call ends, −32021: the server's own, or ours", "server-stateless/undeclared-capability whatWasNotDeclaredIsNotAsked")),
        row(
            "tasks", ("never declared, −32601: 2025-11-25's are another wire", "refusesMethodsOfTheOtherEra"),
            ("never declared, −32601; a server that makes one all the same: −32603", "refusesMethodsOfTheOtherEra aTaskIsForWhoDeclaredTasks"),
            ("−32601: a legacy server has none", "legacyChildrenAreNotAskedForModernThings"),
            (
                "passed on, `Mcp-Name` checked; to a client that did not declare the extension a task is −32021",
                "tasksGoToModernServers aTaskIsForWhoDeclaredTasks"
            )),
        row(
            "ping", ("answered here", "ping"), ("answered here", "ping"), ("−32601: not in the revision", "server-stateless/removed-methods"),
            ("−32601: not in the revision", "server-stateless/removed-methods")),
        row(
            "batches", ("taken apart at 2025-03-26, 400 at others", "batch"), ("the same", "batch"), ("400", "arraysAreNoMessagesOfTheModernRevision"),
            ("400", "arraysAreNoMessagesOfTheModernRevision")),
        row(
            "a stream that breaks off", ("goes on after GET with `Last-Event-ID`", "aBrokenStreamGoesOn"), ("the same", "whatWasMissedComesAndThenWhatComesNext"),
            ("is a cancellation", "cancel"), ("is a cancellation", "cancel")),
    ]

    /// The page, Markdown.
    static var page: String {
        var lines = [
            "# Translation", "",
            "Clients and servers of two eras meet in four ways. *Legacy* is 2024-11-05 to 2025-11-25, *modern* 2026-07-28. What cannot be",
            "translated is refused with an error, never dropped; of log messages one is lost where several calls could have caused it, because",
            "over STDIO it names none. A server of both eras is spoken to in its client's (cells A and D) where its process is one session's.",
            "What is outside of calls holds for `berth bridge` and `berth connect`; behind a virtual MCP such a question is refused, such a",
            "message dropped, and changed roots end at the gateway.",
            "Printed from `Tests/EndToEnd/Conformance/TranslationTable.swift`, where each entry names the conformance scenario or the test",
            "that proves it.", "",
            "| | " + cells.joined(separator: " | ") + " |", "|---|" + String(repeating: "---|", count: cells.count),
        ]
        for row in rows { lines.append("| " + ([row.part] + row.cells.map(\.text)).joined(separator: " | ") + " |") }
        return lines.joined(separator: "\n") + "\n"
    }
}
