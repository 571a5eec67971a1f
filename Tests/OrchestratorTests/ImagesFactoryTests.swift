import Foundation
import Glibc
import MachineAPI
import NIOCore
import Synchronization
import Testing

@testable import Orchestrator

@Suite struct ImagesFactoryTests {
    @Test func aPackageBecomesAnImage() async throws {
        let machine = ImagesMachine { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        let (outcome, steps) = try await fixture.build(ImageSource(pypi: "demo==1.0", constraints: ["mcp<2"], arguments: ["--flag"]))
        let built = try #require(outcome.built, "\(outcome)")
        #expect(built.command.last == "--flag")
        #expect(built.command.first == "/usr/bin/python3")
        #expect(built.packages == ["demo==1.0"])
        #expect(built.environment["PYTHONPATH"] == "/opt/mcp")
        #expect(!steps.isEmpty)
        let layers = try #require(await fixture.store.layers(of: built.image))
        #expect(layers.layers.count == 2)
        #expect(layers.command == built.command)
        #expect(Files.read(layers.layers[1] + "/opt/mcp/demo/__init__.py") == "x = 1\n")
        #expect(Files.status(layers.layers[1] + "/opt/mcp/.lock") == nil)
        let job = try #require(machine.jobs.first)
        #expect(job.egress == ["pypi.org:443", "files.pythonhosted.org:443"])
        #expect(job.layers.count == 2)
        #expect(fixture.leftovers.isEmpty)
    }

    @Test func aLargeImageIsWarnedOfAndATooLargeOneRefused() async throws {
        let size = Mutex(300 << 20)
        let machine = ImagesMachine { job in
            let result = try ImagesMachine.installed(job)
            let file = open(job.output + "/tree/opt/mcp/weights", O_WRONLY | O_CREAT, 0o644)
            ftruncate(file, off_t(size.withLock { $0 }))
            close(file)
            return result
        }
        let fixture = try ImagesFixture(machine: machine)
        let (outcome, steps) = try await fixture.build(ImageSource(pypi: "demo"))
        #expect(try #require(outcome.built?.bytes) > 300 << 20)
        #expect(steps.contains { $0.hasPrefix("Warning: the image has 300 MB of its own") }, "\(steps)")
        size.withLock { $0 = 2 << 30 }
        let failure = try await fixture.build(ImageSource(pypi: "demo==2.0")).outcome.failure
        #expect(failure?.error == "image_too_large" && failure?.hint?.contains("--image-limit") == true && fixture.leftovers.isEmpty)
    }

    @Test func whatIsBuiltAnewIsResolvedAgain() async throws {
        let number = Mutex(0)
        let machine = ImagesMachine { job in
            let count = number.withLock { number in
                number += 1
                return number
            }
            return try ImagesMachine.installed(job, script: "demo = demo.cli:main\nother\(count) = demo.cli:other")
        }
        let fixture = try ImagesFixture(machine: machine)
        let source = ImageSource(pypi: "demo==1.0")
        let first = try #require(try await fixture.build(source).outcome.built?.image)
        #expect(try await fixture.build(source).outcome.built?.image == first && machine.jobs.count == 1)
        let second = try #require(try await ImagesFixture.drain(fixture.factory.build(source, anew: true, accepting: [])).outcome.built?.image)
        #expect(second != first && machine.jobs.count == 2)
        // From here on it is what an equal build gives; the one before stays as long as somebody needs it.
        #expect(try await fixture.build(source).outcome.built?.image == second && machine.jobs.count == 2)
        #expect(try await fixture.store.image(first) != nil)
        let facts = try #require(ImageFacts.read(String(second.dropFirst(7)), in: fixture.store.directory))
        #expect(facts.source == source && facts.packages == ["demo==1.0"])
    }

    @Test func equalSourcesAreBuiltOnce() async throws {
        let gate = Mutex(0)
        let machine = ImagesMachine { job in
            gate.withLock { $0 += 1 }
            return try ImagesMachine.installed(job)
        }
        let fixture = try ImagesFixture(machine: machine)
        let source = ImageSource(pypi: "demo")
        let images = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<6 { group.addTask { try await fixture.build(source).outcome.built?.image } }
            return try await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(images.count == 1 && images.first != .some(nil))
        #expect(gate.withLock { $0 } == 1)
        let other = try await fixture.build(ImageSource(pypi: "demo", arguments: ["x"])).outcome.built
        #expect(other?.image != images.first ?? nil)
        #expect(gate.withLock { $0 } == 2)
    }

    @Test func aBuildWhoseImageWasCollectedIsMadeAgain() async throws {
        let machine = ImagesMachine { try ImagesMachine.installed($0) }
        let fixture = try ImagesFixture(machine: machine)
        let first = try #require(await fixture.build(ImageSource(pypi: "demo")).outcome.built)
        _ = try await fixture.store.collect(keeping: [], youngerThan: .seconds(-5))
        #expect(try await fixture.store.layers(of: first.image) == nil)
        let second = try #require(await fixture.build(ImageSource(pypi: "demo")).outcome.built)
        #expect(second == first)
        #expect(machine.jobs.count == 2)
        // What builds start from stays.
        #expect(fixture.parts.made == 2)
    }

    @Test func aBuildsLayersStayWhileItRuns() async throws {
        let collect = Mutex<(@Sendable () async throws -> Void)?>(nil)
        let machine = ImagesMachine { job in
            try await collect.withLock { $0 }?()
            return try ImagesMachine.installed(job)
        }
        let fixture = try ImagesFixture(machine: machine)
        collect.withLock { $0 = { [store = fixture.store] in
            // The base's record is gone, as after an update of the host's packages.
            for name in Files.names(store.directory) where name.hasPrefix("part-") { unlink(store.directory + "/" + name) }
            _ = try await store.collect(keeping: [], youngerThan: .seconds(-5))
        } }
        let built = try #require(await fixture.build(ImageSource(pypi: "demo")).outcome.built)
        #expect(try await fixture.store.layers(of: built.image) != nil)
    }

    @Test func anImageBuiltBeforeCountsAsJustMade() async throws {
        let fixture = try ImagesFixture(machine: ImagesMachine { try ImagesMachine.installed($0) })
        let first = try #require(await fixture.build(ImageSource(pypi: "demo")).outcome.built)
        let manifest = fixture.store.directory + "/manifests/\(first.image.dropFirst(7)).json"
        let before = try #require(Files.status(manifest)).st_ctim
        _ = try await eventually("a later time") {
            #expect(try await fixture.build(ImageSource(pypi: "demo")).outcome.built == first)
            let now = try #require(Files.status(manifest)).st_ctim
            return now.tv_sec != before.tv_sec || now.tv_nsec != before.tv_nsec ? true : nil
        }
    }

    @Test func aSecondStateDirectoryTakesThePartsOver() async throws {
        let scratch = ImagesScratch()
        let parts = ImagesParts()
        let machine = ImagesMachine { try ImagesMachine.installed($0) }
        let first = try ImagesFixture(scratch: scratch, state: "one", parts: parts, machine: machine)
        let second = try ImagesFixture(scratch: scratch, state: "two", parts: parts, machine: machine)
        async let a = first.build(ImageSource(pypi: "demo"))
        async let b = second.build(ImageSource(pypi: "demo"))
        let images = try await (a.outcome.built?.image, b.outcome.built?.image)
        #expect(images.0 != nil && images.0 == images.1)
        #expect(parts.made == 2)
        // Without the cache both are whole.
        try Files.removeTree(scratch.path + "/cache")
        let image = try #require(images.1)
        let layers = try #require(await second.store.layers(of: image))
        #expect(layers.layers.allSatisfy { Files.isDirectory($0) })
        #expect(Files.read(layers.layers[0] + "/usr/bin/python3.11") == "not really")
    }

    @Test func aDamagedCacheIsMadeAnew() async throws {
        let scratch = ImagesScratch()
        let parts = ImagesParts()
        let machine = ImagesMachine { try ImagesMachine.installed($0) }
        let first = try ImagesFixture(scratch: scratch, state: "one", parts: parts, machine: machine)
        _ = try await ImagesFixture.drainAll(first.factory.prepare())
        let cached = scratch.path + "/cache/base-\(parts.key)/tree/usr/bin/python3.11"
        unlink(cached)
        try Files.write(cached, Array("forged".utf8))
        let second = try ImagesFixture(scratch: scratch, state: "two", parts: parts, machine: machine)
        let built = try #require(await second.build(ImageSource(pypi: "demo")).outcome.built)
        let layers = try #require(await second.store.layers(of: built.image))
        #expect(Files.read(layers.layers[0] + "/usr/bin/python3.11") == "not really")
        #expect(parts.made == 3)
    }

    @Test func unsafeOutputMakesNoImage() async throws {
        let machine = ImagesMachine { job in
            let result = try ImagesMachine.installed(job)
            symlink("/etc/shadow", job.output + "/tree/opt/mcp/demo/data")
            return result
        }
        let fixture = try ImagesFixture(machine: machine)
        let failure = try #require(await fixture.build(ImageSource(pypi: "demo")).outcome.failure)
        #expect(failure.error == "unsafe_content")
        #expect(try await fixture.store.list().isEmpty)
        #expect(fixture.leftovers.isEmpty)
    }

    @Test func outputThatPretendsToBeElsewhereIsNotFollowed() async throws {
        let scratch = ImagesScratch()
        try scratch.file("host/requirements.lock", "demo==1.0 \\\n    --hash=sha256:00\n")
        let host = scratch.path + "/host"
        let machine = ImagesMachine { job in
            try Files.makeDirectories(job.output + "/tree/opt", mode: 0o755)
            symlink(host, job.output + "/tree/opt/mcp")
            return BuildJobResult(exitCode: 0, log: "")
        }
        let fixture = try ImagesFixture(scratch: scratch, machine: machine)
        #expect(try await fixture.build(ImageSource(pypi: "demo")).outcome.failure?.error == "unsafe_content")
        // The same one level up.
        try scratch.file("host/opt/mcp/requirements.lock", "demo==1.0 \\\n    --hash=sha256:00\n")
        let outer = ImagesMachine { job in
            symlink(host, job.output + "/tree")
            return BuildJobResult(exitCode: 0, log: "")
        }
        let second = try ImagesFixture(scratch: scratch, state: "second", machine: outer)
        #expect(try await second.build(ImageSource(pypi: "demo")).outcome.failure?.error == "unsafe_content")
        #expect(try await second.store.list().isEmpty)
    }

    @Test func aFailedBuildIsTypedAndLeavesNothing() async throws {
        let machine = ImagesMachine { _ in
            BuildJobResult(exitCode: 20, log: "Because nope was not found in the package registry and you require nope, we can conclude")
        }
        let fixture = try ImagesFixture(machine: machine)
        let failure = try #require(await fixture.build(ImageSource(pypi: "nope")).outcome.failure)
        #expect(failure.error == "unknown_package")
        #expect(failure.message == "The package index has no package nope.")
        #expect(failure.log?.contains("not found") == true)
        #expect(fixture.leftovers.isEmpty)
        for source in [
            ImageSource(), ImageSource(pypi: "a", upload: "sha256:x"), ImageSource(upload: "x"), ImageSource(pypi: "-e ."),
            ImageSource(pypi: "a", constraints: ["-r x"]),
        ] {
            #expect(try await fixture.build(source).outcome.failure?.error == "bad_source")
        }
    }

    @Test func aFolderBecomesAnImage() async throws {
        let machine = ImagesMachine { job in
            guard job.name == "compile" else { return try ImagesMachine.installed(job) }
            try Files.makeDirectories(job.output + "/tree/srv/server/__pycache__", mode: 0o700)
            try Files.write(job.output + "/tree/srv/server/__pycache__/server.cpython-311.pyc", [1])
            return BuildJobResult(exitCode: 0, log: "")
        }
        let fixture = try ImagesFixture(machine: machine)
        var tar = ImagesTar()
        tar.add("server.py", body: Array("print(1)\n".utf8))
        tar.add("requirements.txt", body: Array("demo\n".utf8))
        tar.add("run", mode: 0o755, body: Array("#!/usr/bin/python3\n".utf8))
        let archive = tar.finished
        let digest = try await fixture.uploads.receive(
            AsyncStream { continuation in
                continuation.yield(ByteBuffer(bytes: archive))
                continuation.finish()
            })
        let plain = try #require(await fixture.build(ImageSource(upload: digest)).outcome.built)
        #expect(plain.command == ["/usr/bin/python3", "/srv/server/server.py"])
        #expect(plain.directory == "/srv/server")
        #expect(plain.environment["PYTHONPATH"] == nil)
        let layers = try #require(await fixture.store.layers(of: plain.image)).layers
        #expect(Files.read(layers[1] + "/srv/server/server.py") == "print(1)\n")
        #expect(Files.status(layers[2] + "/srv/server/__pycache__/server.cpython-311.pyc") != nil)
        #expect(machine.jobs.allSatisfy { $0.egress.isEmpty })

        let full = try #require(await fixture.build(ImageSource(upload: digest, requirements: true, command: ["./run", "a"])).outcome.built)
        #expect(full.command == ["/srv/server/run", "a"])
        #expect(full.packages == ["demo==1.0"])
        #expect(try #require(await fixture.store.layers(of: full.image)).layers.count == 4)
        let script = try #require(await fixture.build(ImageSource(upload: digest, requirements: true, command: ["demo"])).outcome.built)
        #expect(script.command.contains { $0.contains("from demo.cli import main") })
        for command in [["./nothing"], ["../x"], ["nothing"], ["/etc/passwd"]] {
            #expect(try await fixture.build(ImageSource(upload: digest, command: command)).outcome.failure?.error == "no_console_script")
        }
        let unknown = "sha256:" + String(repeating: "0", count: 64)
        #expect(try await fixture.build(ImageSource(upload: unknown)).outcome.failure?.error == "unknown_upload")
        #expect(fixture.leftovers.isEmpty)
    }

    @Test func aDroppedBuildIsCancelled() async throws {
        let (started, start) = AsyncStream<String>.makeStream()
        let machine = ImagesMachine { job in
            start.yield(job.output)
            try await Task.sleep(for: .seconds(3600))
            return BuildJobResult(exitCode: 0, log: "")
        }
        let fixture = try ImagesFixture(machine: machine)
        let task = Task { for try await _ in fixture.factory.build(ImageSource(pypi: "demo")) {} }
        for await _ in started { break }
        task.cancel()
        _ = await task.result
        let deadline = ContinuousClock.now + .seconds(120)
        while !fixture.leftovers.isEmpty, ContinuousClock.now < deadline { await Task.yield() }
        #expect(fixture.leftovers.isEmpty)
    }

    /// Nobody reads the build's steps any more, and the process is about to end: it waits for what is being removed.
    @Test func aFactoryThatEndsLeavesNothingHalfMade() async throws {
        let (started, start) = AsyncStream<String>.makeStream()
        let machine = ImagesMachine { job in
            start.yield(job.output)
            try await Task.sleep(for: .seconds(3600))
            return BuildJobResult(exitCode: 0, log: "")
        }
        let fixture = try ImagesFixture(machine: machine)
        let events = fixture.factory.build(ImageSource(pypi: "demo"))
        for await _ in started { break }
        #expect(!fixture.leftovers.isEmpty)
        await fixture.factory.end()
        #expect(fixture.leftovers.isEmpty)
        #expect(try await ImagesFixture.drain(events).outcome.failure?.error == "cancelled")
        // One that comes too late does not begin.
        #expect(try await ImagesFixture.drain(fixture.factory.build(ImageSource(pypi: "demo"))).outcome.failure?.error == "cancelled")
        #expect(fixture.leftovers.isEmpty)
        await fixture.factory.end()
    }
}

extension ImagesFixture {
    static func drainAll(_ stream: AsyncThrowingStream<ImageBuildEvent, any Error>) async throws -> [ImageBuildEvent] {
        try await stream.reduce(into: []) { $0.append($1) }
    }
}
