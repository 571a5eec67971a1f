import ArgumentParser
import JSONText
import MCP
import NIOCore
import RemoteClient
import Standalone

/// One command's talk with a server: calls, rounds of questions, pages.
struct ServerTalk {
    /// A result: as it came, and read.
    struct Answer {
        var text: ByteBuffer
        var value: JSONValue

        var bytes: [UInt8] { Array(text.readableBytesView) }
    }

    /// A text of the server's as a value.
    static func value(_ text: ByteBuffer) -> JSONValue { (try? JSONValue(parsing: text.readableBytesSpan)) ?? .null }

    private static let maximumRounds = 16
    private static let maximumPages = 1_000
    private static let asked: Set = ["tools/call", "prompts/get", "resources/read"]

    let target: ServerTarget
    let connection: ServerConnection
    private let questions: Questions
    private let hasToken: Bool
    private let log: ServerLog
    private let time: TimeLimit
    /// Tells after a moment what is waited for.
    private let patience: Task<Void, Never>

    /// Opens the server of `target`, runs `body`, and ends both whatever happens. INT, TERM and HUP cancel what is under way.
    static func run(
        _ target: ServerTarget, _ options: ServerOptions, _ body: @escaping @Sendable (ServerTalk) async throws -> Void
    ) async throws {
        let questions = try Questions(answers: options.answers)
        let time = try TimeLimit(option: options.timeout)
        try options.check(for: target.place)
        let log = ServerLog(isShown: options.verbose)
        let connection: ServerConnection
        var token: String?
        switch target.place {
        case .url(let address):
            token = try ServerOptions.token(options.tokenFile)
            connection = try await .open(address, token: token, security: address.security()) { log.note($0) }
        case .command(let command):
            connection = try await .open(options.local.server(command), era: options.era ?? .auto) { log.take($0) }
        }
        let patience = Task {
            guard (try? await Task.sleep(for: .seconds(5))) != nil else { return }
            Output.note("waiting for \(target.name)")
        }
        let talk = ServerTalk(
            target: target, connection: connection, questions: questions, hasToken: token != nil, log: log, time: time, patience: patience)
        let work = Task { try await body(talk) }
        defer { patience.cancel() }
        // Before what ends the command is told, on the same descriptor.
        defer { log.flush() }
        let interrupted = Interruption { work.cancel() }
        let result = await work.result
        await connection.close()
        if interrupted.cameAs != 0 { throw ExitCode(128 + interrupted.cameAs) }
        if case .failure(let error) = result, !(error is ExitCode), !options.verbose { log.tell() }
        do {
            try result.get()
        } catch let error as TimeIsUp {
            guard let hint = log.noiseHint else { throw error }
            throw Failure(error.failure.message, hint: hint)
        }
    }

    /// One request, and as many rounds as the server has questions.
    func call(_ method: String, _ params: JSONObject = JSONObject()) async throws -> Answer {
        var params = params
        var questions = questions
        for _ in 0..<Self.maximumRounds {
            var meta = params["_meta"]?.objectValue ?? JSONObject()
            if Self.asked.contains(method) { meta["progressToken"] = 1 }
            params["_meta"] = .object(meta)
            let outcome = try await time.run(method) { [connection, log, params] heard in
                await connection.call(method, params, capabilities: Questions.capabilities) {
                    heard()
                    log.show($0)
                }
            }
            let text = try await result(outcome, method)
            guard let value = try? JSONValue(parsing: text.readableBytesSpan) else {
                throw Failure("\(target.name) answered with a result that is no JSON", hint: "report it to the server's author")
            }
            guard value["resultType"]?.stringValue == "input_required" else {
                for name in questions.unasked where Self.asked.contains(method) {
                    Output.note("warning: --answers has \(Printable.line(name)), which nothing asked for")
                }
                return Answer(text: text, value: value)
            }
            // From here on the server waits for a person.
            patience.cancel()
            params["inputResponses"] = .object(try questions.answer(value["inputRequests"]?.objectValue ?? JSONObject()))
            params["requestState"] = value["requestState"]
        }
        throw Failure("the server asked more than \(Self.maximumRounds) times", hint: "report it to the server's author")
    }

    /// All pages of a list. One page is told as it came; several are put together, their numbers as they were written.
    func list(_ method: String, _ member: String) async throws -> Answer {
        var answer = try await call(method)
        var next = Self.cursor(answer.value)
        guard next != nil else { return answer }
        var items = answer.value[member]?.arrayValue ?? []
        var seen: Set<String> = []
        while let cursor = next {
            guard seen.insert(cursor).inserted, seen.count < Self.maximumPages else {
                throw Failure(
                    "\(method) does not end: a page follows that was there before, or there are \(Self.maximumPages)",
                    hint: "report it to the server's author")
            }
            let page = try await call(method, ["cursor": .string(cursor)]).value
            items += page[member]?.arrayValue ?? []
            next = Self.cursor(page)
        }
        var whole = answer.value.objectValue ?? JSONObject()
        whole[member] = .array(items)
        whole["nextCursor"] = nil
        answer.value = .object(whole)
        answer.text = ByteBuffer(bytes: answer.value.serialized())
        return answer
    }

    private static func cursor(_ page: JSONValue) -> String? { page["nextCursor"]?.stringValue }

    func greeting() async throws -> ServerConnection.Greeting {
        let answer = try await time.run("initialize") { [connection] _ in await connection.greeting(capabilities: Questions.capabilities) }
        switch answer {
        case .success(let greeting): return greeting
        case .failure(let why): throw await failure(why)
        }
    }

    /// Of a gateway's URL alone: a bridge hosts nothing.
    private var logs: String {
        guard case .url(let address) = target.place, address.path.hasPrefix("/v/") else { return "" }
        return Remedy.logs
    }

    private func result(_ outcome: MCPOutcome, _ method: String) async throws -> ByteBuffer {
        switch outcome {
        case .result(let text): return text
        case .failed(let why): throw await failure(why)
        case .error(let error):
            if let why = Undelivered(refusal: error) { throw await failure(why) }
            throw Unreached.failure(answered: error, hint: await hint(error, method))
        }
    }

    private func hint(_ error: MCPError, _ method: String) async -> String {
        if let refusal = Questions.refusal(in: error.message) { return refusal }
        switch error.code {
        case MCPError.Code.methodNotFound: return "\(Program.name) inspect shows what the server offers"
        case MCPError.Code.notDelivered: return "it did not act on the call" + logs
        case MCPError.Code.outcomeUnknown: return "it may have acted on the call" + logs
        case MCPError.Code.invalidParams where method == "tools/call" && error.message.contains("nknown tool"):
            guard let name = target.word(0), let tools = try? await list("tools/list", "tools").value["tools"]?.arrayValue else { break }
            let names = tools.compactMap { $0["name"]?.stringValue }
            return Suggestion.text(for: name, among: names) ?? "it has \(names.prefix(30).joined(separator: ", "))"
        case MCPError.Code.internalError where error.message.contains("not acceptable: too large"):
            return "let it answer in parts; the Python SDK writes a tool's text twice, but with structured_output=False"
        case _ where error.message.contains("no back-channel"):
            return "its tool asks its client while it runs, as before 2026-07-28: --era legacy, here or of \(Program.name) bridge, lets it"
        default: break
        }
        return "\(Program.name) inspect shows what the server offers and takes"
    }

    /// What the kernel and HTTP say in numbers, in words.
    private func failure(_ why: Undelivered) async -> Failure {
        let address: RemoteAddress? = if case .url(let address) = target.place { address } else { nil }
        return Unreached(why, status: await connection.lastStatus, address: address, name: target.name, hasToken: hasToken).failure
    }
}
