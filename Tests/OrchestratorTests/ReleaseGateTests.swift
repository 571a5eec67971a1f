import Foundation
import Glibc
import MachineAPI
import Synchronization
import Testing

@testable import Orchestrator

/// A release is told of before it is built, and a doubtful one is not built without a yes.
@Suite struct ReleaseGateTests {
    private func events(_ fixture: ImagesFixture, _ source: ImageSource, accepting: [String] = []) async throws -> [ImageBuildEvent] {
        try await ImagesFixture.drainAll(fixture.factory.build(source, anew: false, accepting: accepting))
    }

    private func release(_ events: [ImageBuildEvent]) -> ReleaseReport? {
        events.lazy.compactMap { if case .release(let report) = $0 { report } else { nil } }.first
    }

    @Test func anOldReleaseIsToldOfAndBuilt() async throws {
        let machine = ImagesMachine(look: {
            try ImagesMachine.found(
                $0, lock: "demo==1.0 \\\n    --hash=sha256:00\nother==2 \\\n    --hash=sha256:00\nmore==3 \\\n    --hash=sha256:00\n",
                more: ["author": "Alice", "publishers": ["alice"], "bytes": 4_096])
        }) { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        let heard = try await events(fixture, ImageSource(pypi: "demo"))
        let report = try #require(release(heard))
        #expect(report.version == "1.0" && report.dependencies == 2 && report.author == "Alice" && report.publishers == ["alice"] && report.bytes == 4_096)
        #expect(report.doubts.isEmpty && report.accept == "demo==1.0" && report.published_at == 1_500_000_000)
        #expect(heard.last?.built != nil)
        // What was told is what is installed: the lock goes with the job that installs.
        let job = try #require(machine.jobs.first)
        #expect(job.name == "install" && machine.looks.count == 1 && machine.looks.first?.egress == ["pypi.org:443", "files.pythonhosted.org:443"])
        // Built before: nothing is told or asked.
        #expect(release(try await events(fixture, ImageSource(pypi: "demo"))) == nil && machine.looks.count == 1)
    }

    @Test func aYoungReleaseIsNotBuiltWithoutAYes() async throws {
        let young = Int(time(nil)) - 3_600
        let machine = ImagesMachine(look: { try ImagesMachine.found($0, version: "1.0", uploaded: young) }) { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        for wrong in [[], ["demo"], ["demo==2.0"], ["*"], ["demo@1.0"]] {
            let failure = try #require(try await events(fixture, ImageSource(pypi: "demo"), accepting: wrong).last?.failure)
            #expect(failure.error == "unconfirmed" && failure.accept == ["demo==1.0"])
            #expect(failure.message == "Nobody has said yes to demo 1.0: it was published 1 hour ago, less than 72 hours." && failure.hint?.contains("--accept demo==1.0") == true)
        }
        #expect(machine.jobs.isEmpty && fixture.leftovers.isEmpty, "something was installed")
        #expect(try await fixture.store.list().isEmpty)
        let heard = try await events(fixture, ImageSource(pypi: "demo"), accepting: ["demo==1.0"])
        #expect(heard.last?.built != nil && release(heard)?.doubts.first?.reason == .young && machine.jobs.count == 1)
    }

    @Test func whatIsInstalledBesideItIsAskedAboutToo() async throws {
        let young = Int(time(nil))
        let machine = ImagesMachine(look: { try ImagesMachine.found($0, uploaded: young) }) { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        let source = ImageSource(pypi: "demo", with: ["Extra_Thing"])
        let failure = try await events(fixture, source).last?.failure
        #expect(failure?.accept == ["demo==1.0", "extra-thing==1.0"])
        #expect(try await events(fixture, source, accepting: ["demo==1.0"]).last?.failure?.accept == ["extra-thing==1.0"])
        #expect(try await events(fixture, source, accepting: ["demo==1.0", "extra-thing==1.0"]).last?.built != nil)
    }

    /// An index that tells nothing, a lookalike, and one that has to be built from source before its version is known.
    @Test func whatIsNotKnownIsAskedAbout() async throws {
        let silent = ImagesMachine(look: { try ImagesMachine.found($0, uploaded: nil) }) { try ImagesMachine.installed($0) }
        #expect(try await events(ImagesFixture(machine: silent), ImageSource(pypi: "demo")).last?.failure?.message.contains("does not say when") == true)
        let broken = ImagesMachine(look: { job in
            let result = try ImagesMachine.found(job)
            try Files.write(job.output + "/releases.json", Array("{".utf8))
            return result
        }) { try ImagesMachine.installed($0) }
        #expect(try await events(ImagesFixture(machine: broken), ImageSource(pypi: "demo")).last?.failure?.error == "unconfirmed")
        let linked = ImagesMachine(look: { job in
            let result = try ImagesMachine.found(job)
            rename(job.output + "/releases.json", job.output + "/elsewhere")
            symlink(job.output + "/elsewhere", job.output + "/releases.json")
            return result
        }) { try ImagesMachine.installed($0) }
        #expect(try await events(ImagesFixture(machine: linked), ImageSource(pypi: "demo")).last?.failure?.error == "unconfirmed")
        let old = ImagesMachine { try ImagesMachine.installed($0) }
        let failure = try await events(ImagesFixture(machine: old), ImageSource(pypi: "mcp-server-tme")).last?.failure
        #expect(failure?.message.contains("its name is almost that of mcp-server-time") == true && old.jobs.isEmpty)
        let unlocked = ImagesMachine(look: { try ImagesMachine.found($0, version: "3.0", lock: "") }) { try ImagesMachine.installed($0) }
        let heard = try await events(ImagesFixture(machine: unlocked), ImageSource(pypi: "demo"))
        let report = try #require(release(heard))
        #expect(!report.exact && report.version == "3.0" && report.dependencies == nil && heard.last?.built != nil)
        let lock = try #require(unlocked.jobs.first).inputs[0].source + "/requirements.lock"
        #expect(Files.status(lock) == nil)
    }

    @Test func packagesOfNpmAreToldOfToo() async throws {
        let young = Int(time(nil))
        let machine = ImagesMachine(look: { try ImagesMachine.found($0, uploaded: young) }) { _ in BuildJobResult(exitCode: 20, log: "") }
        let fixture = try ImagesFixture(machine: machine)
        let heard = try await events(fixture, ImageSource(npm: "@s/demo"))
        #expect(release(heard)?.accept == "@s/demo@1.0" && release(heard)?.kind == .npm && release(heard)?.dependencies == 0)
        #expect(heard.last?.failure?.error == "unconfirmed" && machine.jobs.isEmpty)
        // With a yes it goes on to the installation.
        #expect(try await events(fixture, ImageSource(npm: "@s/demo"), accepting: ["@s/demo@1.0"]).last?.failure?.error == "build_failed" && machine.jobs.count == 1)
    }
}
