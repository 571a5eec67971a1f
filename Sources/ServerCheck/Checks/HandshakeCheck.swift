import JSONText

/// What both kinds of clients are told, and whether it holds.
enum HandshakeCheck {
    private static let declarable = [
        ("prompts", "prompts/list", "prompts"), ("resources", "resources/list", "resources"),
    ]

    static func run(_ bench: TestBench, _ first: StartCheck.First, _ modern: ModernCaller, _ report: inout Report) async {
        bench.progress("talking to it in both protocol eras")
        report.add([era(report.era, report.protocolVersion), identity(first.greeting)])
        await addCapabilities(bench, first, &report)
        await addModern(bench, first, modern, &report)
    }

    static func era(_ era: String?, _ version: String?) -> Finding {
        let version = version ?? "an unknown revision"
        if era == "modern" {
            return Finding("handshake.era", .pass, "it speaks \(version), stateless; clients of every revision reach it through the bridge")
        }
        return Finding(
            "handshake.era", .note, "it speaks \(version) and not \(ModernCaller.version): bridges translate, and keep a process for each session",
            remedy: "nothing, or a newer SDK (for Python mcp 2.x)")
    }

    static func identity(_ greeting: JSONValue) -> Finding {
        let info = greeting["serverInfo"]
        let missing = ["name", "version"].filter { info?[$0]?.stringValue == nil }
        guard missing.isEmpty else {
            return Finding(
                "handshake.identity", .failure, "serverInfo has no \(missing.joined(separator: " and no "))",
                remedy: "give both: clients refuse such a handshake")
        }
        let empty = ["name", "version"].filter { info?[$0]?.stringValue?.isEmpty == true }
        guard !empty.isEmpty else { return Finding("handshake.identity", .pass, "it tells its name and version") }
        let name = info?["name"]?.stringValue ?? ""
        return Finding(
            "handshake.identity", .warning, "serverInfo has an empty \(empty.joined(separator: " and an empty "))",
            remedy: "say which one it is (Python SDK 2.x: MCPServer(\"\(name.isEmpty ? "name" : name)\", version=\"1.0\"))")
    }

    private static func addCapabilities(_ bench: TestBench, _ first: StartCheck.First, _ report: inout Report) async {
        let declared = first.greeting["capabilities"]
        var wrong: [Finding] = []
        func add(_ severity: Finding.Severity, _ text: String, _ remedy: String) {
            wrong.append(Finding("handshake.capabilities", severity, text, remedy: remedy))
        }
        if declared?["tools"] == nil, !first.tools.isEmpty {
            add(.failure, "it has tools and does not declare the tools capability: clients do not ask for them", #"declare "tools": {}"#)
        }
        for (capability, method, member) in declarable where declared?[capability] != nil {
            let (reply, _) = await first.caller.list(method, member)
            guard reply.value == nil else { continue }
            add(
                .failure, "it declares \(capability), and \(method) fails: \(StartCheck.firstLine(reply.problem))",
                "answer \(method), or do not declare \(capability)")
        }
        // The bridge has set a level before it asked for the tools.
        if declared?["logging"] != nil { wrong += level(bench.traffic.lastExchange("logging/setLevel")?.answer?.value) }
        report.add(wrong.isEmpty ? [Finding("handshake.capabilities", .pass, "what it declares is there")] : wrong)
    }

    /// - Parameter answer: to `logging/setLevel`; nil where it was not asked or has not answered.
    static func level(_ answer: JSONValue?) -> [Finding] {
        guard let error = answer?["error"] else { return [] }
        let why = StartCheck.firstLine(error["message"]?.stringValue ?? error.text)
        return [
            Finding(
                "handshake.capabilities", .warning, "it declares logging, and logging/setLevel fails: \(why)",
                remedy: "answer logging/setLevel with {}, or do not declare logging"),
        ]
    }

    /// A second process serves the stateless clients, so this also says whether its list is always the same.
    private static func addModern(_ bench: TestBench, _ first: StartCheck.First, _ modern: ModernCaller, _ report: inout Report) async {
        let discovered = await modern.request("server/discover", JSONObject())
        let (reply, tools) = await modern.list("tools/list", "tools")
        guard discovered.value != nil, reply.value != nil else {
            let why = discovered.value == nil ? discovered.problem : reply.problem
            return report.add(
                Finding(
                    "handshake.modern", .failure, "a client of \(ModernCaller.version) gets no list of tools: \(StartCheck.firstLine(why))",
                    remedy: "see whether a second process of the server can run (\(bench.settings.bridge) --trace shows the messages)"))
        }
        modern.learn(tools)
        report.add(lists(first.tools, tools))
    }

    /// Of two processes.
    static func lists(_ one: [JSONValue], _ two: [JSONValue]) -> Finding {
        let (old, new) = (one.map { $0["name"]?.stringValue ?? "" }, two.map { $0["name"]?.stringValue ?? "" })
        if old == new {
            return Finding("handshake.modern", .pass, "clients of \(LegacyCaller.version) and of \(ModernCaller.version) see the same tools")
        }
        let isOrder = old.sorted() == new.sorted()
        return Finding(
            "handshake.modern", .warning, isOrder ? "two processes list the tools in another order" : "two processes list other tools",
            remedy: isOrder ? "sort the list: the protocol asks for a fixed order, and caches depend on it" : "list the same tools to every session")
    }
}
