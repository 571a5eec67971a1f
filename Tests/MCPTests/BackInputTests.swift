import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

/// A legacy child asks its client in the middle of a call.
@Suite struct BackInputTests {
    static let able = #"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#

    static func call(_ capabilities: String = able, name: String = "t", _ more: String = "") -> String {
        #""method":"tools/call","params":{"name":"\#(name)"\#(more),"_meta":{"io.modelcontextprotocol/clientCapabilities":\#(capabilities)}}"#
    }

    static func retry(_ state: String, _ responses: String, name: String = "t") -> String {
        call(able, name: name, #","requestState":\#(state),"inputResponses":\#(responses)"#)
    }

    static let elicit = #""method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object"}}"#
    static let accept = #"{"action":"accept","content":{"name":"x"}}"#

    /// A call under way, the child's id of it.
    func started(_ capabilities: String = able) throws -> (bench: BackBench, id: String) {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, Self.call(capabilities))
        let id = try bench.next("id").text
        return (bench, id)
    }

    /// The first round's result in its parts.
    func required(_ bench: BackBench, _ call: Int) throws -> (state: String, requests: JSONValue) {
        let result = try JSONValue(parsing: try #require(bench[call]))
        #expect(result["resultType"]?.stringValue == "input_required")
        return (try #require(result["requestState"]).text, try #require(result["inputRequests"]))
    }

    @Test(.tags(.failure20)) func aQuestionIsAnotherRound() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let (key, question) = try #require(requests.objectValue?.members.first)
        #expect(question["method"]?.stringValue == "elicitation/create" && question["params"]?["message"]?.stringValue == "who?")
        #expect(bench.log.contains { $0.hasPrefix("arm input") } && bench.back.suspendedCount == 1 && bench.back.callsInFlight == 1)

        try bench.send(2, Self.retry(state, #"{"\#(key)":\#(Self.accept),"extra":{}}"#))
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","id":"e1","result":\#(Self.accept)}"#)
        #expect(bench.back.suspendedCount == 0 && bench[2] == nil)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"content":[]}}"#)
        #expect(bench[2] == #"{"content":[]}"# && bench.back.callsInFlight == 0)

        // A handle is good for one retry.
        try bench.send(3, Self.retry(state, #"{"\#(key)":\#(Self.accept)}"#))
        #expect(bench[3]?.hasPrefix("error -32602") == true && bench.lines.isEmpty)
    }

    @Test(arguments: [
        (#"{}"#, Self.elicit), (#"{"sampling":{}}"#, Self.elicit), (#"{"elicitation":{"url":{}}}"#, Self.elicit),
        (#"{"elicitation":{}}"#, #""method":"elicitation/create","params":{"mode":"url","url":"https://x"}"#),
        (#"{"elicitation":{}}"#, #""method":"sampling/createMessage","params":{}"#),
        (#"{"sampling":{}}"#, #""method":"sampling/createMessage","params":{"tools":[]}"#), (#"{"roots":true}"#, #""method":"roots/list""#),
        (able, #""method":"tools/list""#), (able, #""method":"anything/else""#),
    ])
    func whatWasNotDeclaredIsRefused(capabilities: String, question: String) throws {
        var (bench, _) = try started(capabilities)
        bench.receive(#"{"jsonrpc":"2.0","id":5,\#(question)}"#)
        #expect(try bench.next("error")["code"]?.intValue == -32601)
        #expect(bench.finished.isEmpty && bench.back.counters.refusedRequests == 1)
    }

    @Test(arguments: [
        (#"{"elicitation":{}}"#, Self.elicit), (#"{"elicitation":{"url":{}}}"#, #""method":"elicitation/create","params":{"mode":"url"}"#),
        (#"{"sampling":{"tools":{}}}"#, #""method":"sampling/createMessage","params":{"tools":[]}"#), (#"{"roots":{}}"#, #""method":"roots/list""#),
    ])
    func whatWasDeclaredIsAsked(capabilities: String, question: String) throws {
        var (bench, _) = try started(capabilities)
        bench.receive(#"{"jsonrpc":"2.0","id":5,\#(question)}"#)
        _ = try required(bench, 1)
    }

    @Test(arguments: [
        "{}", #"{"other":{"action":"accept"}}"#, #"{"KEY":{}}"#, #"{"KEY":{"action":"maybe"}}"#, #"{"KEY":[]}"#, #"{"KEY":{"action":"accept","content":1}}"#,
    ])
    func whatIsNotAnAnswerIsAskedForAgain(responses: String) throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        try bench.send(2, Self.retry(state, responses.replacing("KEY", with: key)))
        let again = try required(bench, 2)
        #expect(bench.lines.isEmpty && again.requests == requests && again.state != state)
        try bench.send(3, Self.retry(again.state, #"{"\#(key)":{"action":"decline"}}"#))
        #expect(try bench.next("result")["action"]?.stringValue == "decline")
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#)
        #expect(bench[3] == "{}")
    }

    @Test func anotherRequestCannotTakeTheState() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        try bench.send(2, Self.retry(state, #"{"\#(key)":\#(Self.accept)}"#, name: "other"))
        try bench.send(3, #""method":"prompts/get","params":{"name":"t","requestState":\#(state)}"#)
        try bench.send(4, Self.retry(#""0123""#, #"{"\#(key)":\#(Self.accept)}"#))
        try bench.send(5, Self.call(Self.able, #","inputResponses":{}"#))
        try bench.send(6, Self.call(Self.able, #","arguments":{"more":1},"requestState":\#(state),"inputResponses":{"\#(key)":\#(Self.accept)}"#))
        for call in [2, 3, 4, 6] { #expect(bench[call]?.hasPrefix("error -32602") == true) }
        // Answers alone belong to nothing: that is a call of its own.
        #expect(bench[5] == nil && bench.lines.count == 1)
        let params = try bench.next("params")
        #expect(params["inputResponses"] == nil && params["name"] == "t")
        #expect(bench.back.suspendedCount == 1, "it still waits for its own")
    }

    @Test func severalQuestionsAndRounds() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":1,\#(Self.elicit)}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#)
        let first = try required(bench, 1)
        #expect(first.requests.objectValue?.count == 1, "the second came after the answer was given")
        try bench.send(2, Self.retry(first.state, #"{"\#(first.requests.objectValue?.keys.first ?? "")":\#(Self.accept)}"#))
        #expect(try bench.next("id").intValue == 1)
        let second = try required(bench, 2)
        #expect(second.requests.objectValue?.members.first?.value["method"]?.stringValue == "roots/list")
        try bench.send(3, Self.retry(second.state, #"{"\#(second.requests.objectValue?.keys.first ?? "")":{"roots":[]}}"#))
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","id":2,"result":{"roots":[]}}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{}}"#)
        let third = try required(bench, 3)
        // The child does not wait for this answer; its result waits for the retry.
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"done":true}}"#)
        try bench.send(4, Self.retry(third.state, #"{"\#(third.requests.objectValue?.keys.first ?? "")":{"role":"assistant","content":{}}}"#))
        #expect(bench[4] == #"{"done":true}"# && bench.back.callsInFlight == 0 && bench.back.suspendedCount == 0)
    }

    /// A client need not come back; what is asked next is for whoever is there.
    @Test func aCallThatWasLeftKeepsNoQuestionOfAnothers() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":1,\#(Self.elicit)}"#)
        _ = try required(bench, 1)
        try bench.send(2, Self.call(name: "u"))
        bench.lines = []
        bench.receive(#"{"jsonrpc":"2.0","id":2,\#(Self.elicit)}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":3,"method":"roots/list"}"#)
        let first = try required(bench, 2)
        try bench.send(3, Self.retry(first.state, #"{"\#(first.requests.objectValue?.keys.first ?? "")":\#(Self.accept)}"#, name: "u"))
        #expect(try bench.next("id").intValue == 2)
        #expect(try required(bench, 3).requests.objectValue?.members.first?.value["method"] == "roots/list")
    }

    /// Its client may have declared less than another call's.
    @Test func whatTheOneThatComesBackCannotBeAskedWaits() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":1,\#(Self.elicit)}"#)
        let mine = try required(bench, 1)
        try bench.send(2, Self.call(name: "u"))
        bench.receive(#"{"jsonrpc":"2.0","id":2,\#(Self.elicit)}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":3,"method":"roots/list"}"#)
        let key = try #require(mine.requests.objectValue?.keys.first)
        try bench.send(
            3, Self.call(#"{"elicitation":{}}"#, name: "t", #","requestState":\#(mine.state),"inputResponses":{"\#(key)":\#(Self.accept)}"#))
        #expect(bench[3] == nil)
    }

    @Test func whatWasFiledUnderALaterCallIsAskedOfTheOneThatComesBack() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":1,\#(Self.elicit)}"#)
        let mine = try required(bench, 1)
        try bench.send(2, Self.call(name: "u"))
        bench.receive(#"{"jsonrpc":"2.0","id":2,\#(Self.elicit)}"#)
        _ = try required(bench, 2)
        // Both wait; nobody can tell whose this is.
        bench.receive(#"{"jsonrpc":"2.0","id":3,"method":"roots/list"}"#)
        try bench.send(3, Self.retry(mine.state, #"{"\#(mine.requests.objectValue?.keys.first ?? "")":\#(Self.accept)}"#))
        let again = try required(bench, 3)
        #expect(again.requests.objectValue?.members.map { $0.1["method"]?.stringValue } == ["roots/list"])
        try bench.send(4, Self.retry(again.state, #"{"\#(again.requests.objectValue?.keys.first ?? "")":{"roots":[]}}"#))
        #expect(bench.lines.last?["id"] == 3 && bench.back.suspendedCount == 1)
    }

    static func call(of client: String?, name: String, _ more: String = "") -> String {
        let info = client.map { #","io.modelcontextprotocol/clientInfo":\#($0)"# } ?? ""
        return #""method":"tools/call","params":{"name":"\#(name)"\#(more),"_meta":{"io.modelcontextprotocol/clientCapabilities":\#(able)\#(info)}}"#
    }

    /// Clients of one principal share a process: what may be another's is asked of nobody, and its server does not wait.
    @Test(
        .tags(.failure20),
        arguments: [
            (#"{"name":"a","version":"1"}"#, #"{"name":"b","version":"1"}"#, true),
            (#"{"name":"a","version":"1"}"#, #"{"name":"a","version":"2"}"#, true),
            (#"{"name":"a","version":"1"}"#, nil, true), (#"{"name":"a","version":"1"}"#, #"{"version":"1","title":"A","name":"a"}"#, false),
            (nil, nil, false),
        ] as [(String?, String?, Bool)])
    func aQuestionThatMayBeAnotherClientsIsRefused(one: String?, other: String?, isRefused: Bool) throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, Self.call(of: one, name: "t"))
        try bench.send(2, Self.call(of: other, name: "u"))
        bench.lines = []
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        guard isRefused else {
            _ = try required(bench, 1)
            return
        }
        let error = try bench.next("error")
        #expect(error["code"]?.intValue == -32603 && error["message"]?.stringValue?.contains("cannot tell whose question this is") == true)
        #expect(bench.finished.isEmpty && bench.back.suspendedCount == 0)
        // A call that waits for its client is open at its server like any other.
        bench.perform(bench.back.cancel(CallID(2)))
        bench.receive(#"{"jsonrpc":"2.0","id":"e2",\#(Self.elicit)}"#)
        _ = try required(bench, 1)
        try bench.send(3, Self.call(of: other, name: "u"))
        bench.lines = []
        bench.receive(#"{"jsonrpc":"2.0","id":"e3",\#(Self.elicit)}"#)
        #expect(try bench.next("error")["code"]?.intValue == -32603 && bench[3] == nil)
    }

    /// What was kept with a call that waits is its client's.
    @Test func whoComesBackIsNotAskedWhatAnotherClientsCallKeeps() throws {
        var bench = try BackBench(ready: .legacy)
        func call(_ name: String, _ capabilities: String, _ more: String = "") -> String {
            let meta = #""io.modelcontextprotocol/clientCapabilities":\#(capabilities),"io.modelcontextprotocol/clientInfo":{"name":"\#(name)"}"#
            return #""method":"tools/call","params":{"name":"t"\#(more),"_meta":{\#(meta)}}"#
        }
        try bench.send(1, call("a", #"{"elicitation":{},"roots":{}}"#))
        bench.receive(#"{"jsonrpc":"2.0","id":1,\#(Self.elicit)}"#)
        _ = try required(bench, 1)
        // Kept for its next round: no other call is open.
        bench.receive(#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#)
        let others = #"{"sampling":{},"roots":{}}"#
        try bench.send(2, call("b", others))
        bench.receive(#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{}}"#)
        let asked = try required(bench, 2)
        let key = try #require(asked.requests.objectValue?.keys.first)
        let answers = #","requestState":\#(asked.state),"inputResponses":{"\#(key)":{"role":"assistant","content":{}}}"#
        try bench.send(3, call("b", others, answers))
        #expect(bench[3] == nil && bench.lines.last?["id"] == 3)
    }

    @Test func progressAfterTheRetryIsTheNewCallers() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        let progress = #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":\#(id)}}"#
        bench.receive(progress)
        #expect(bench.notified.isEmpty)
        try bench.send(
            2,
            #""method":"tools/call","params":{"name":"t","requestState":\#(state),"inputResponses":{"\#(key)":\#(Self.accept)},"_meta":{"progressToken":"new"}}"#)
        bench.receive(progress)
        #expect(bench.notified.map(\.0) == [CallID(2)] && bench.notified[0].1["params"]?["progressToken"]?.stringValue == "new")
    }

    @Test func nobodyComesBack() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, _) = try required(bench, 1)
        let handle = try #require(try JSONValue(parsing: state).stringValue)
        bench.perform(bench.back.timerFired(.input(handle)))
        #expect(try bench.next("error")["code"]?.intValue == -32603)
        let cancelled = try bench.next()
        #expect(cancelled["method"]?.stringValue == "notifications/cancelled" && cancelled["params"]?["requestId"]?.text == id)
        #expect(bench.back.callsInFlight == 0 && bench.back.suspendedCount == 0)
        bench.perform(bench.back.timerFired(.input(handle)))
        #expect(bench.lines.isEmpty)
    }

    /// In the modern dialect only a few requests may end with a question.
    @Test func theQuestionGoesToACallThatMayAsk() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, #""method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":\#(Self.able)}}"#)
        try bench.send(2, Self.call())
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        #expect(bench[1] == nil)
        _ = try required(bench, 2)
    }

    /// The child's answer came meanwhile and cannot be taken: whoever comes back is told, instead of waiting for ever.
    @Test func anAnswerThatCannotBeReadEndsTheRound() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        bench.perform(bench.back.receivedOversized(prefix: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":{"a":"xxxx"#)))
        try bench.send(2, Self.retry(state, #"{"\#(key)":\#(Self.accept)}"#))
        #expect(bench[2]?.hasPrefix("error -32603") == true && bench.back.callsInFlight == 0)
    }

    /// What the child asks badly is answered like what it asks well.
    @Test(arguments: [
        (#""id":"e1","method":"elicitation/create","params":[1]"#, -32602), (#""params":7,"method":"sampling/createMessage","id":"e1""#, -32602),
        (#""id":"e1","method":"roots/list","params":{"_meta":1}"#, -32602), (#""id":"e1","method":"elicitation/create""#, -32602),
        (#""id":"e1","method":"sampling/createMessage""#, -32602), (#""id":"e1","method":"no/such""#, -32601),
        (#""id":"e1","method":"no/such","params":{}"#, -32601), (#""id":"e1","method":"tools/call","params":{"name":"a","name":"b"}"#, -32600),
    ])
    func aBadRequestIsAnswered(request: String, code: Int) throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0",\#(request)}"#)
        let answer = try bench.next()
        #expect(answer["id"] == "e1" && answer["error"]?["code"]?.intValue == code && bench.lines.isEmpty)
        #expect(bench.back.counters.refusedRequests == 1 && bench.finished.isEmpty)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#)
        #expect(bench[1] == "{}")
    }

    @Test func aRequestThatIsTooLongIsAnswered() throws {
        var (bench, _) = try started()
        bench.perform(
            bench.back.receivedOversized(prefix: ByteBuffer(string: #"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"a":"xx"#)))
        let answer = try bench.next()
        #expect(answer["id"]?.intValue == 5 && answer["error"]?["code"]?.intValue == -32600)
    }

    /// Neither has anybody who waits: what names no id, and what is no JSON.
    @Test(arguments: [#"{"jsonrpc":"2.0","method":"notifications/x","params":[1]}"#, #"{"jsonrpc":"2.0","id":1,"method":"x",oops"#])
    func noiseIsNotAnswered(line: String) throws {
        var (bench, _) = try started()
        bench.receive(line)
        #expect(bench.lines.isEmpty && bench.back.counters.noise == 1)
    }

    /// Whoever asks the client hears at once of a server that goes on without the answer; the outcome comes with the round that follows.
    @Test(arguments: ["answers", "takes back"]) func aServerThatGoesOnWithoutTheAnswer(how: String) throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        #expect(bench[1]?.contains(#""_meta":{"berth/pending":true}"#) == true)
        let wait = #"{"berth/wait":{}}"#
        try bench.send(2, Self.retry(state, wait, name: "other"))
        #expect(bench[2]?.hasPrefix("error -32602") == true)
        // It can be left and begun again, by one at a time.
        try bench.send(3, Self.retry(state, wait))
        try bench.send(4, Self.retry(state, wait))
        #expect(bench[3] == nil && bench[4]?.hasPrefix("error -32603") == true)
        bench.perform(bench.back.cancel(CallID(3)))
        try bench.send(5, Self.retry(state, wait))
        #expect(bench[3] == "outcome_unknown" && bench[5] == nil && bench.lines.isEmpty)

        let answer = #"{"jsonrpc":"2.0","id":\#(id),"result":{"gaveUp":true}}"#
        bench.receive(
            how == "answers" ? answer : #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"e1","reason":"timeout"}}"#)
        #expect(bench[5] == #"{"resultType":"berth/settled"\#(how == "answers" ? #","isAnswered":true"# : "")}"#)
        try bench.send(6, Self.retry(state, wait))
        #expect(bench[6] == bench[5])
        try bench.send(7, Self.retry(state, #"{"\#(key)":\#(Self.accept)}"#))
        if how == "takes back" {
            #expect(bench.lines.isEmpty, "what was taken back is not answered")
            #expect(bench[7] == nil)
            bench.receive(answer)
        }
        #expect(bench[7] == #"{"gaveUp":true}"# && bench.back.suspendedCount == 0 && bench.back.callsInFlight == 0)
    }

    /// The mark is ours: with a server's own, its call would be made a second time, and nobody would have asked for it.
    @Test(arguments: [Era.legacy, .modern]) func aServersOwnMarkIsRefused(era: Era) throws {
        var bench = try BackBench(ready: era)
        try bench.send(1, Self.call())
        let id = try bench.next("id").text
        let result = #"{"resultType":"input_required","requestState":"s","inputRequests":{},"_meta":{"berth/pend\u0069ng":true,"berth/pending":true}}"#
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#)
        #expect(bench[1]?.hasPrefix("error -32603") == true)
        // Nor does a wait for what does not wait here reach a server.
        try bench.send(2, Self.call(Self.able, #","inputResponses":{"berth/wait":{}}"#))
        #expect(bench[2]?.hasPrefix("error -32602") == true && bench.lines.isEmpty)
        if era == .modern { try bench.send(3, Self.retry("\"s\"", #"{"berth/wait":{}}"#)) }
        #expect(era == .legacy || bench[3]?.hasPrefix("error -32602") == true && bench.lines.isEmpty)
    }

    /// A question names no call: one that was open when it came may be waiting for the answer, whatever else is over.
    @Test(arguments: ["answer", "cancel"]) func whatAnotherCallMayWaitForIsNotTakenBack(how: String) throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...2 { try bench.send(call, Self.call()) }
        let ids = try (1...2).map { _ in try bench.next("id").text }
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, _) = try required(bench, 1)
        try bench.send(3, Self.retry(state, #"{"berth/wait":{}}"#))
        // One that came later asks nothing of it.
        try bench.send(4, Self.call())
        _ = try bench.next()
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"done":1}}"#)
        #expect(bench[3] == nil, "it may be the other's")
        if how == "answer" {
            bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[1]),"result":{"done":2}}"#)
        } else {
            bench.perform(bench.back.cancel(CallID(2)))
        }
        #expect(bench[3] == #"{"resultType":"berth/settled","isAnswered":true}"# && bench[4] == nil)
        try bench.send(5, Self.retry(state, "{}"))
        #expect(bench[5] == #"{"done":1}"#)
    }

    /// An answer that is there is not lost with the time for another's question.
    @Test func anOutcomeOutlivesTheQuestion() throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...2 { try bench.send(call, Self.call()) }
        let ids = try (1...2).map { _ in try bench.next("id").text }
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, _) = try required(bench, 1)
        try bench.send(3, Self.retry(state, #"{"berth/wait":{}}"#))
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"done":1}}"#)
        bench.perform(bench.back.timerFired(.input(try #require(try JSONValue(parsing: state).stringValue))))
        #expect(bench[3] == #"{"resultType":"berth/settled"}"#)
        try bench.send(4, Self.retry(state, "{}"))
        #expect(bench[4] == #"{"done":1}"# && bench.back.suspendedCount == 0)
    }

    /// Of two questions the one that is asked is taken back: the other has its turn.
    @Test func whatIsTakenBackMakesRoomForTheNext() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, _) = try required(bench, 1)
        bench.receive(#"{"jsonrpc":"2.0","id":"e2",\#(Self.elicit)}"#)
        try bench.send(2, Self.retry(state, #"{"berth/wait":{}}"#))
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"e1"}}"#)
        #expect(bench[2] == #"{"resultType":"berth/settled"}"#)
        try bench.send(3, Self.retry(state, "{}"))
        #expect(try required(bench, 3).requests.objectValue?.keys == ["q2"])
    }

    /// Readers differ in which of two equal names they take.
    @Test func aQuestionThatSaysItsModeTwiceIsRefused() throws {
        var (bench, _) = try started()
        bench.receive(
            #"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{},"mode":"url"}}"#)
        #expect(try bench.next()["error"]?["code"]?.intValue == -32601 && bench[1] == nil)
    }

    /// What is not answered then is not asked for again.
    @Test func anOutcomeNeedsNoAnswers() throws {
        var (bench, id) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, _) = try required(bench, 1)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#)
        try bench.send(2, Self.retry(state, "{}"))
        #expect(bench[2] == "{}" && bench.timers.isEmpty)
        #expect(try bench.next("error")["code"]?.intValue == -32603)
    }

    @Test(arguments: ["answer", "time-out", "death"]) func whoWaitsBesideAQuestionIsToldOfItsEnd(how: String) throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        try bench.send(2, Self.retry(state, #"{"berth/wait":{}}"#))
        switch how {
        case "answer": try bench.send(3, Self.retry(state, #"{"\#(key)":\#(Self.accept)}"#))
        case "time-out": bench.perform(bench.back.timerFired(.input(try #require(try JSONValue(parsing: state).stringValue))))
        default: bench.perform(bench.back.closed(reason: "killed"))
        }
        #expect(bench[2] == (how == "answer" ? #"{"resultType":"berth/settled"}"# : "outcome_unknown"))
    }

    @Test func aFloodOfQuestionsIsBounded() throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...40 { try bench.send(call, Self.call()) }
        bench.lines = []
        for question in 1...40 { bench.receive(#"{"jsonrpc":"2.0","id":\#(question),\#(Self.elicit)}"#) }
        #expect(bench.back.suspendedCount == 32)
        #expect(bench.lines.count == 8 && bench.lines.allSatisfy { $0["error"]?["code"]?.intValue == -32603 })
    }

    @Test func aClientsErrorReachesTheChild() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        try bench.send(2, Self.retry(state, #"{"\#(key)":{"berth/error":{"code":-1,"message":"User rejected"}}}"#))
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","id":9,"error":{"code":-1,"message":"User rejected"}}"#)
    }

    @Test func theHandshakeDeclaresTheFirstCallers() throws {
        var back = Back(era: .legacy)
        back.declare(ByteBuffer(string: #"{"elicitation":{},"tasks":{}}"#))
        guard case .write(let line) = back.start().last else { throw ScanFailed() }
        #expect(try JSONValue(parsing: line.text)["params"]?["capabilities"]?.text == #"{"elicitation":{}}"#)
        back.declare(ByteBuffer(string: "{}"))
        #expect(try JSONValue(parsing: line.text)["params"]?["capabilities"]?["elicitation"] != nil)
    }

    private struct ScanFailed: Error {}
}
