import Foundation
import TestSupport
import Testing

/// A server of `Tests/Fixtures/remote.py`, ended with the test.
struct RemoteRig: Sendable {
    let folder: String
    let url: String
    private let process: Background

    /// - Parameters:
    ///   - scenario: a class of the fixture, in small letters.
    ///   - certificate: of `certificates.sh`, for a server that speaks TLS.
    static func run(_ scenario: String, certificate: String? = nil, _ body: (RemoteRig) async throws -> Void) async throws {
        try await withFolder(["token": "tok-12345678901234567890"]) { folder in
            if certificate != nil { try await makeCertificates(in: folder) }
            let files = certificate.map { ["\(folder)/\($0).pem", "\(folder)/\($0).key"] } ?? []
            let process = try Background([BridgeRig.python, Repository.fixture("remote.py"), scenario] + files, in: folder)
            defer { process.end() }
            let url = try await process.line { $0.hasPrefix("http") }
            try await body(RemoteRig(folder: folder, url: url, process: process))
        }
    }

    static func makeCertificates(in folder: String) async throws {
        let made = try await Command.run([Repository.fixture("certificates.sh")], directory: folder)
        guard made.status == 0 else { throw Trouble("certificates: \(made)") }
    }

    func berth(_ arguments: [String], environment: [String: String] = [:], input: String? = nil) async throws -> CommandResult {
        try await Command.run([Repository.binary("berth")] + arguments, environment: environment, input: input, seconds: 120)
    }

    /// `berth connect` for a client that says these lines in turn (`in_turn.py`), after its `initialize`, which has the id 0.
    ///
    /// - Parameter isModern: the lines alone, as the stateless revision begins.
    func connect(_ lines: [String], query: String = "", isModern: Bool = false, environment: [String: String] = [:]) async throws -> Talk {
        let start =
            #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}},"#
            + #""clientInfo":{"name":"x","version":"1"}}}"#
        let handshake = isModern ? [] : [start, #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#]
        let input = (handshake + lines).joined(separator: "\n") + "\n"
        let command =
            [BridgeRig.python, Repository.fixture("in_turn.py"), Repository.binary("berth"), "connect", url + query]
            + ["--token-file", folder + "/token"]
        return Talk(try await Command.run(command, environment: environment, input: input, seconds: 120))
    }

    static func call(_ id: Int, _ tool: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"\#(tool)","_meta":{"progressToken":"p"}}}"#
    }

    /// What the server was asked, in order.
    var requests: [[String: Any]] {
        process.output.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
    }

    /// The methods, or verbs where there are none.
    var methods: [String] { requests.map { $0["method"] as? String ?? $0["verb"] as? String ?? "" } }

    var output: String { process.output }

    /// What `berth connect` wrote.
    struct Talk: CustomStringConvertible {
        let result: CommandResult

        init(_ result: CommandResult) { self.result = result }

        /// The answer to the request with that id.
        func answer(_ id: Int) -> [String: Any]? { messages.first { $0["id"] as? Int == id && $0["method"] == nil } }

        /// The text of its result, or the word of its error.
        func text(_ id: Int) -> String? {
            let answer = answer(id)
            if let error = answer?["error"] as? [String: Any] {
                return (error["data"] as? [String: Any])?["error"] as? String ?? error["message"] as? String
            }
            return ((answer?["result"] as? [String: Any])?["content"] as? [[String: Any]])?.first?["text"] as? String
        }

        /// Whether its result tells that what the server knew before is lost.
        func tellsOfLoss(_ id: Int) -> Bool {
            ((answer(id)?["result"] as? [String: Any])?["_meta"] as? [String: Any])?["berth/restarted"] as? Bool == true
        }

        var messages: [[String: Any]] {
            result.output.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        }

        /// How it ended: its status, and the seconds that took.
        var end: (status: Int?, seconds: Double) { (result.lastJSON?["ended"] as? Int, result.lastJSON?["seconds"] as? Double ?? .infinity) }

        var description: String { "\(result)" }
    }
}
