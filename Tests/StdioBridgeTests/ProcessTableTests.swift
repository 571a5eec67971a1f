import Glibc
import JSONText
import TestSupport
import Testing

@testable import StdioBridge

@Suite struct ProcessTableTests {
    /// What a tree is looked through for is bounded: an event loop waits for it.
    @Test func aTreeIsLookedThroughSoFar() async throws {
        try await Rig.with { rig in
            let identity = try #require(await rig.call("identity").json)
            let parent = pid_t(try #require(identity["ppid"]?.intValue))
            let process = pid_t(try #require(identity["pid"]?.intValue))
            let helper = try #require(await rig.call("helper").text.flatMap { pid_t($0) })
            #expect(Set(ProcessTable.tree(of: parent)).isSuperset(of: [parent, process, helper]))
            let first = ProcessTable.tree(of: parent, limit: 1)
            #expect(first.first == parent && first.contains(process) && !first.contains(helper), "its children, and nobody's of theirs")
            #expect(ProcessTable.tree(of: parent, limit: 0) == [parent])
            #expect(ProcessTable.tree(of: process, limit: 1) == [process, helper])
        }
    }
}
