import Foundation
import Glibc
import MachineAPI
import NIOCore
import TestSupport
import Testing

@testable import Orchestrator

/// One executable as a server: what is told from its bytes, and what its image holds.
@Suite struct ImagesBinaryTests {
    private func check(_ bytes: [UInt8], root: String = "/nonexistent", name: String = "server") throws -> ImageBuildFailure? {
        let scratch = ImagesScratch()
        try Files.write(scratch.path + "/" + name, bytes)
        let file = Descriptor(open(scratch.path + "/" + name, O_RDONLY | O_CLOEXEC))
        do throws(ImageBuildFailure) {
            try ExecFormat(root: RootTree(root), name: name, remedy: ExecFormat.staticRemedy).check(file.value)
            return nil
        } catch {
            return error
        }
    }

    private func compiled(_ flags: [String], _ scratch: ImagesScratch) async throws -> [UInt8] {
        let path = try await CompiledFixture.make("tiny", flags, in: scratch.path)
        return try #require(Disk.read(path, limit: 64 << 20))
    }

    @Test(arguments: [
        ("#!/bin/sh\nexit\n", "server is a shell script, and its root has no /bin/sh."),
        ("#!/usr/bin/env -S python3 -u\n", "server is a Python script, and its root has no /usr/bin/env."),
        ("#! /usr/bin/node\n", "server is a Node script, and its root has no /usr/bin/node."),
        ("#!/opt/x/y\n", "server is a script for /opt/x/y, and its root has no /opt/x/y."),
        ("#!\n", "server is a script for , and its root has no ."),
        ("print('hello')\n", "server is a text file and no Linux program."),
        ("", "server is an empty file and no Linux program."),
        ("MZ\u{1}\u{2}", "server is a Windows program and no Linux program."),
        ("PK\u{3}\u{4}", "server is a zip archive and no Linux program."),
        ("\u{1}\u{2}\u{3}", "server is neither a program nor a script and no Linux program."),
        ("\u{7F}ELF", "server is no whole Linux program: it is cut off."),
    ])
    func whatIsNoProgramIsNamed(_ text: String, _ message: String) throws {
        let failure = try #require(try check(Array(text.utf8)))
        #expect(failure.error == "exec_format" && failure.message == message && failure.hint?.isEmpty == false, "\(failure)")
    }

    @Test func aProgramForSomethingElseIsNamed() async throws {
        let scratch = ImagesScratch()
        let program = try await compiled(["-static"], scratch)
        #expect(try check(program) == nil)
        var other = program
        other[18] = 183
        #expect(try check(other)?.message == "server is a program for aarch64, and this host is x86_64.")
        // 32 bits, and the other byte order.
        other = program
        (other[4], other[18]) = (1, 3)
        #expect(try check(other)?.message == "server is a program for i386, and this host is x86_64.")
        other = program
        (other[5], other[18], other[19]) = (2, 0, 22)
        #expect(try check(other)?.message == "server is a program for s390x, and this host is x86_64.")
        for macho in [[0xCF, 0xFA, 0xED, 0xFE], [0xCA, 0xFE, 0xBA, 0xBE]] as [[UInt8]] {
            #expect(try check(macho)?.message == "server is a macOS program and no Linux program.")
        }
        let library = try await compiled(["-shared", "-fPIC"], scratch)
        #expect(try check(library)?.message == "server is a library or an object file and no program.")
        let object = try await compiled(["-c"], scratch)
        #expect(try check(object)?.message == "server is a library or an object file and no program.")
        #expect(try check(await compiled(["-static-pie"], scratch)) == nil, "a static program may be position-independent")
    }

    @Test func whatItIsLinkedToMustBeThere() async throws {
        let scratch = ImagesScratch()
        let loader = "/lib64/ld-linux-x86-64.so.2"
        let dynamic = try await compiled([], scratch)
        #expect(try check(dynamic)?.message == "server needs \(loader), which its root does not have.")
        let musl = try await compiled(["-Wl,--dynamic-linker=/lib64/ld-musl-x86_64.so.1"], scratch)
        let failure = try #require(try check(musl))
        #expect(failure.message == "server needs /lib64/ld-musl-x86_64.so.1, which its root does not have.")
        #expect(failure.hint?.contains("CGO_ENABLED=0") == true)

        // As distributions have it: the loader behind an absolute link to a folder, which leads nowhere on this host.
        let root = try scratch.directory("root")
        try scratch.file("root/usr/libs/ld-linux-x86-64.so.2", "x", mode: 0o755)
        symlink("/usr/libs", root + "/lib64")
        #expect(try check(dynamic, root: root)?.message == "server needs libc.so.6, which its root does not have.")
        try scratch.file("root/usr/lib/x86_64-linux-gnu/libc.so.6", "x")
        #expect(try check(dynamic, root: root) == nil)
        // A link that leaves the root does not count for what the host has there.
        unlink(root + "/lib64")
        symlink("../../../../../../../../lib64", root + "/lib64")
        #expect(try check(dynamic, root: root)?.message == "server needs \(loader), which its root does not have.")
    }

    @Test func anyBytesAreRead() async throws {
        let scratch = ImagesScratch()
        let program = Array(try await compiled([], scratch).prefix(20_000))
        var generator = SystemRandomNumberGenerator()
        for round in 0..<400 {
            var bytes = round.isMultiple(of: 7) ? Array(program.prefix(Int.random(in: 0..<4_000))) : program
            for _ in 0..<Int.random(in: 1..<12) where !bytes.isEmpty {
                // Headers and the dynamic section above all.
                let end = Bool.random() ? min(900, bytes.count) : bytes.count
                bytes[Int.random(in: 0..<end)] = UInt8.random(in: 0...255, using: &generator)
            }
            if let failure = try check(bytes) {
                #expect(failure.error == "exec_format" && failure.message.utf8.count < 600)
                #expect(failure.message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F })
            }
        }
    }

    /// Numbers at the ends of what 64 bits hold, wherever a program has one.
    @Test func extremeNumbersAreRead() async throws {
        let scratch = ImagesScratch()
        let program = try await compiled([], scratch)
        func number(_ at: Int) -> Int { (0..<8).reduce(0) { $0 | Int(program[at + $1]) << (8 * $1) } }
        let table = number(32)
        var places: [Int] = [24, 32]
        for index in 0..<Int(program[56]) {
            let header = table + 56 * index
            places += [8, 16, 32, 40].map { header + $0 }
            guard program[header] == 2 else { continue }
            let dynamic = number(header + 8)
            places += stride(from: dynamic + 8, to: dynamic + number(header + 32), by: 16)
        }
        let ends: [UInt64] = [0, 1, .max, .max - 1, 1 << 63, (1 << 63) - 1, (1 << 63) - 16, 1 << 62, 1 << 48, 1 << 32]
        for place in places {
            for end in ends {
                // With every segment at that address too, so that sums meet their ends.
                for all in [false, true] {
                    var bytes = program
                    func put(_ value: UInt64, _ at: Int) {
                        for byte in 0..<8 { bytes[at + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))) }
                    }
                    put(end, place)
                    if all {
                        for index in 0..<Int(program[56]) where program[table + 56 * index] == 1 {
                            put(end, table + 56 * index + 16)
                            put(end == 0 ? .max : end / 2, table + 56 * index + 8)
                            put((1 << 63) - 1, table + 56 * index + 32)
                        }
                    }
                    if let failure = try check(bytes) { #expect(failure.error == "exec_format") }
                }
            }
        }
    }

    // MARK: Images

    private func upload(_ fixture: ImagesFixture, _ files: [(String, [UInt8])]) async throws -> String {
        var tar = ImagesTar()
        for (name, body) in files { tar.add(name, mode: 0o755, body: body) }
        let archive = tar.finished
        return try await fixture.uploads.receive(
            AsyncStream { continuation in
                continuation.yield(ByteBuffer(bytes: archive))
                continuation.finish()
            })
    }

    @Test func itsRootHoldsNothingItDoesNotNeed() async throws {
        let machine = ImagesMachine { _ in throw ImageBuildFailure(error: "internal", message: "no build machine is needed") }
        let fixture = try ImagesFixture(machine: machine)
        let program = try await compiled(["-static"], fixture.scratch)
        let digest = try await upload(fixture, [("tiny", program)])
        let built = try #require(await fixture.build(ImageSource(arguments: ["8000"], binary: digest)).outcome.built)
        #expect(built.command == ["/srv/server/tiny", "8000"] && built.directory == "/srv/server" && built.packages.isEmpty)
        #expect(try #require(built.bytes) > program.count)
        let image = try #require(await fixture.store.layers(of: built.image))
        let files = image.layers.flatMap { layer in
            (FileManager.default.enumerator(atPath: layer)?.allObjects as? [String] ?? []).filter { !Files.isDirectory(layer + "/" + $0) }
        }
        #expect(Set(files) == ["etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt", "srv/server/tiny"])
        // Nothing that runs, no base system and no network for it.
        #expect(fixture.parts.made == 0 && machine.jobs.isEmpty)
        #expect(fixture.leftovers.isEmpty)
        let again = try #require(await fixture.build(ImageSource(arguments: ["8000"], binary: digest)).outcome.built)
        #expect(again == built)
        // The first word of a command stands for the program; another one is not there.
        let given = try #require(await fixture.build(ImageSource(command: ["./tiny", "9000"], binary: digest)).outcome.built)
        #expect(given.command == ["/srv/server/tiny", "9000"])
        #expect(try await fixture.build(ImageSource(command: ["sh"], binary: digest)).outcome.failure?.error == "no_program")
    }

    @Test func whatIsLinkedToTheDistributionGetsItBelow() async throws {
        let machine = ImagesMachine { _ in throw ImageBuildFailure(error: "internal", message: "no build machine is needed") }
        let fixture = try ImagesFixture(machine: machine)
        let dynamic = try await upload(fixture, [("tiny", compiled([], fixture.scratch))])
        // The base of this test has no loader.
        let (outcome, steps) = try await fixture.build(ImageSource(binary: dynamic))
        #expect(outcome.failure?.error == "exec_format" && fixture.parts.made == 1, "\(outcome)")
        #expect(steps.contains { $0.contains("the base system goes below it") })
        // Another C library's loader is not in it either, and it is not made to find that out.
        let musl = try await upload(fixture, [("tiny", compiled(["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"], fixture.scratch))])
        let before = fixture.parts.made
        #expect(try await fixture.build(ImageSource(binary: musl)).outcome.failure?.message.contains("needs /lib/ld-musl-x86_64.so.1") == true)
        #expect(fixture.parts.made == before && fixture.leftovers.isEmpty)
    }

    @Test func anUploadIsOneProgramOrNone() async throws {
        let machine = ImagesMachine { _ in throw ImageBuildFailure(error: "internal", message: "no build machine is needed") }
        let fixture = try ImagesFixture(machine: machine)
        let program = try await compiled(["-static"], fixture.scratch)
        for files in [[("a", program), ("b", program)], [("d/a", program)], [("with blank", program)], [(".hidden", program)]] {
            let digest = try await upload(fixture, files)
            #expect(try await fixture.build(ImageSource(binary: digest)).outcome.failure?.error == "bad_upload", "\(files.map(\.0))")
        }
        #expect(try await fixture.build(ImageSource(binary: "sha256:1")).outcome.failure?.error == "bad_source")
        let two = ImageSource(pypi: "demo", binary: "sha256:" + String(repeating: "0", count: 64))
        #expect(try await fixture.build(two).outcome.failure?.error == "bad_source")
    }

    @Test func aFoldersOwnProgramIsLookedAtToo() async throws {
        let fixture = try ImagesFixture(machine: ImagesMachine { _ in BuildJobResult(exitCode: 0, log: "") })
        var program = try await compiled(["-static"], fixture.scratch)
        program[18] = 183
        let digest = try await upload(fixture, [("server", program), ("run", Array("#!/bin/bash\n".utf8))])
        let wrong = try await fixture.build(ImageSource(upload: digest, command: ["./server"])).outcome.failure
        #expect(wrong?.error == "exec_format" && wrong?.message.contains("aarch64") == true, "\(String(describing: wrong))")
        let script = try await fixture.build(ImageSource(upload: digest, command: ["./run"])).outcome.failure
        #expect(script?.error == "exec_format" && script?.hint?.contains("-- python3 FILE") == true)
    }
}
