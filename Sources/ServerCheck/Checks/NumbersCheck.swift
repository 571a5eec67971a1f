import JSONText

/// Whether numbers arrive as they were written, and are such that clients can read them.
enum NumbersCheck {
    static let id = "calls.numbers"

    static func run(
        _ bench: TestBench, _ first: StartCheck.First, _ call: SafeCall?, _ modern: ModernCaller, _ reason: String, _ report: inout Report
    ) async {
        let listed = bench.traffic.lastList("tools/list", "tools")
        if let unsafe = integers(NumberRules.literals(in: .array(first.tools)), "the list of tools") { report.add(unsafe) }
        guard let call else {
            if let listed, !isSame(.array(listed), .array(first.tools)) {
                report.add(changed("the list of tools"))
            }
            return report.add(Finding(id, .skipped, reason))
        }
        bench.progress("calling \(call.tool)")
        let reply = await modern.request("tools/call", call.params)
        guard let result = reply.value else {
            return report.add(
                Finding(
                    "calls.tool", .failure, "the call failed: \(StartCheck.firstLine(reply.problem))",
                    remedy: "give --call arguments that the tool takes, or mend the tool", tool: call.tool))
        }
        if result["isError"]?.boolValue == true {
            let why = result["content"]?[0]?["text"]?.stringValue.map { ": " + Excerpt.of($0, 160) } ?? ""
            let isOurs = bench.settings.call == nil
            report.add(
                Finding(
                    "calls.tool", isOurs ? .note : .warning, "it answered with an error\(why)",
                    remedy: isOurs ? "name a call that works with --call, which says more" : "give --call arguments that it takes", tool: call.tool))
        }
        guard let exchange = bench.traffic.lastExchange("tools/call"), let sent = exchange.request.value?["params"]?["arguments"],
            let came = exchange.answer?.value?["result"]
        else { return report.add(Finding(id, .skipped, "the call was not seen on the server's pipes")) }
        let members = ["content", "structuredContent"]
        guard isSame(sent, .object(call.arguments)), members.allSatisfy({ isSame(came[$0] ?? .null, result[$0] ?? .null) }) else {
            return report.add(changed("the call of \(call.tool)"))
        }
        let answered = members.flatMap { NumberRules.literals(in: came[$0] ?? .null) }
        if let unsafe = integers(answered, "the answer of \(call.tool)") { report.add(unsafe) }
        let altered = NumberRules.altered(NumberRules.literals(in: .object(call.arguments)), answer: came.text)
        for (was, became) in altered {
            report.add(
                Finding(
                    id, .warning, "the server was sent \(was) and answered with \(became)",
                    remedy: "read numbers as they are written (Python: parse_float=Decimal), or take them as strings", tool: call.tool))
        }
        if altered.isEmpty {
            report.add(Finding(id, .pass, "numbers of the call of \(call.tool) and of its answer pass through the bridge as they are written"))
        }
    }

    private static func isSame(_ one: JSONValue, _ two: JSONValue) -> Bool { NumberRules.literals(in: one) == NumberRules.literals(in: two) }

    private static func changed(_ what: String) -> Finding {
        Finding(
            id, .failure, "numbers of \(what) were changed on their way", remedy: "that is a fault of the bridge: report it with what --json prints")
    }

    /// - Returns: nil where clients read all of them as they are.
    static func integers(_ literals: [String], _ place: String) -> Finding? {
        guard let worst = NumberRules.unsafe(literals).first else { return nil }
        return Finding(
            "calls.integers", .warning, "\(place) has \(Excerpt.of(worst, 40)), which clients written in JavaScript read as another number",
            remedy: "give whole numbers beyond 2^53 as strings")
    }
}
