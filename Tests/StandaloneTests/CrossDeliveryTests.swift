import JSONText
import NIOCore
import Testing
import TestSupport

@testable import Standalone
@testable import StdioBridge

/// Nobody ever gets what is another's, though all use the same ids.
struct CrossDeliveryTests {
    /// 200 callers of 20 sessions at once, all under id 7 and progress token 7.
    @Test(.tags(.failure18), arguments: [Sharing.session, .shared]) func equalIDsOverTwentySessions(sharing: Sharing) async throws {
        try await StandaloneRig.with("hostile.py", sharing: sharing) { rig in
            var sessions: [[(String, String)]] = []
            for _ in 0..<20 { sessions.append(try await rig.session()) }
            let answered = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<200 {
                    let headers = sessions[caller % sessions.count]
                    group.addTask {
                        for round in 0..<5 { try await Self.call(rig, headers, "caller \(caller) round \(round)") }
                        return 5
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(answered == 1000)
        }
    }

    private static func call(_ rig: StandaloneRig, _ headers: [(String, String)], _ text: String) async throws {
        let answer = try await rig.post(
            """
            {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo_twice","arguments":{"text":"\(text)"},\
            "_meta":{"progressToken":7}}}
            """, headers)
        let messages = try StandaloneRig.messages(answer.body)
        #expect(messages.last?["id"] == 7 && messages.last?["result"]?["content"]?[0]?["text"] == .string(text), "\(answer.body)")
        let progress = messages.dropLast().map { $0["params"] }
        #expect(progress.count == 1 && progress[0]?["progressToken"] == 7 && progress[0]?["message"] == .string(text), "\(answer.body)")
    }
}
