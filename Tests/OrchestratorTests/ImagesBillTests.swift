import Foundation
import Glibc
import MachineAPI
import TestSupport
import Testing

@testable import Orchestrator

/// Bills of materials: what is read off an image's layers, and that it is what the standard says.
@Suite struct ImagesBillTests {
    // MARK: Parsing

    @Test func aLockTellsPackagesWithTheirHashes() throws {
        let (a, b) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
        let parts = PythonParts.locked(
            """
            # comment
            Foo_Bar==1.2 ; python_version >= "3.8" \\
                --hash=sha256:\(b) \\
                --hash=sha256:\(a)
            one[extra]==2.0+local \\
                --hash=sha256:\(a)
            broken==3 \\
                --hash=sha256:nothex
            ../evil==1
            """)
        #expect(parts.map(\.purl) == ["pkg:pypi/foo-bar@1.2", "pkg:pypi/one@2.0%2Blocal", "pkg:pypi/broken@3"])
        #expect(parts[0].hashes == nil)
        #expect(parts[0].externalReferences?.first?.hashes?.map(\.content) == [a, b])
        #expect(parts[1].hashes?.map(\.content) == [a])
        #expect(parts[2].hashes == nil && parts[2].externalReferences == nil)
    }

    @Test(arguments: [
        ("License-Expression: MIT OR Apache-2.0", BillOfMaterials.License.expression("MIT OR Apache-2.0")),
        ("License-Expression: (MIT AND (BSD-3-Clause OR GPL-2.0-or-later WITH Classpath-exception-2.0))",
         .expression("(MIT AND (BSD-3-Clause OR GPL-2.0-or-later WITH Classpath-exception-2.0))")),
        ("License-Expression: MIT OR", .named("MIT OR")),
        ("License-Expression: (MIT", .named("(MIT")),
        ("License: BSD", .named("BSD")),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", .named("MIT License")),
        ("License: \(String(repeating: "x", count: 500))", nil),
        ("License: a\u{202E}b", nil),
        ("Summary: x\n\nLicense: in the body", nil),
    ])
    func licencesAreTakenWhereTheyAreOne(_ header: String, _ expected: BillOfMaterials.License?) throws {
        let part = try #require(PythonParts.installed("Metadata-Version: 2.4\nName: demo\nVersion: 1\n" + header + "\n"))
        #expect(part.licenses?.first == expected)
    }

    @Test(arguments: ["Name: demo\n", "Name: a/b\nVersion: 1\n", "Name: a\nVersion: 1 <script>\n", "Version: 1\n", "\nName: a\nVersion: 1\n"])
    func whatIsNoPackageIsNone(_ metadata: String) { #expect(PythonParts.installed(metadata) == nil) }

    @Test func npmTellsScopesHashesAndLicences() throws {
        let bytes = [UInt8](repeating: 0xAB, count: 64)
        let lock = """
            {"lockfileVersion": 3, "packages": {"": {"name": "server"},
             "node_modules/@scope/tool": {"version": "1.0.0", "integrity": "sha512-\(Data(bytes).base64EncodedString())"},
             "node_modules/a/node_modules/b": {"version": "2.0.0", "integrity": "sha512-short"},
             "node_modules/../evil": {"version": "2.0.0"}, "node_modules/x": {}}}
            """
        let parts = NpmParts.locked(Array(lock.utf8))
        #expect(parts.map(\.purl) == ["pkg:npm/%40scope/tool@1.0.0", "pkg:npm/b@2.0.0"])
        #expect(parts[0].hashes == [BillOfMaterials.Hash(.sha512, String(repeating: "ab", count: 64))].compactMap { $0 })
        #expect(parts[1].hashes == nil)
        #expect(NpmParts.locked(Array("[]".utf8)).isEmpty)
        let own = NpmParts.installed(Array(#"{"name": "@scope/tool", "version": "1.0.0", "license": "ISC"}"#.utf8))
        #expect(own?.licenses == [.expression("ISC")])
        #expect(NpmParts.installed(Array(#"{"name": "old", "version": "1.0.0", "license": {"type": "MIT"}}"#.utf8))?.licenses == nil)
        #expect(NpmParts.installed(Array(#"{"name": "../../x", "version": "1.0.0"}"#.utf8)) == nil)
    }

    @Test func distributionsTellTheirPackages() throws {
        let debian = SystemParts(osRelease: "ID=debian\nVERSION_CODENAME=bookworm\n", otherwise: "x")
        let parts = debian.debian(
            """
            Package: libstdc++6
            Status: install ok installed
            Architecture: amd64
            Version: 1:12.2.0-14+deb12u1
            Description: a
             more

            Package: gone
            Status: deinstall ok config-files
            Version: 1
            """)
        #expect(parts.map(\.purl) == ["pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-bookworm"])
        let alpine = SystemParts(osRelease: "ID=\"alpine\"\nVERSION_ID=3.20.1\n", otherwise: "x")
        let apk = alpine.alpine("P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:bad name\nV:1\n")
        #expect(apk.map(\.purl) == ["pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1"])
        #expect(apk.first?.licenses == [.expression("MIT")])
    }

    // MARK: Layers

    /// A layer of strangers: links, devices of names, documents without end.
    @Test func aSurveyFollowsNoLinkAndHasBounds() throws {
        let scratch = ImagesScratch()
        let outside = try scratch.file("outside/secret-1.dist-info/METADATA", "Name: secret\nVersion: 1\n")
        let layer = try scratch.directory("layer")
        try scratch.file("layer/opt/mcp/demo-1.dist-info/METADATA", "Name: demo\nVersion: 1\n")
        try scratch.file("layer/usr/lib/node_modules/@s/tool/package.json", #"{"name": "@s/tool", "version": "3.0.0"}"#)
        try scratch.file("layer/usr/lib/node_modules/tool/lib/package.json", #"{"name": "no-package-of-its-own", "version": "3.0.0"}"#)
        #expect(symlink(scratch.path + "/outside/secret-1.dist-info", layer + "/opt/mcp/secret-1.dist-info") == 0)
        try Files.makeDirectories(layer + "/opt/mcp/other-1.dist-info", mode: 0o755)
        #expect(symlink(outside, layer + "/opt/mcp/other-1.dist-info/METADATA") == 0)
        #expect(mkfifo(layer + "/opt/mcp/other-1.dist-info/PKG-INFO", 0o600) == 0)
        let survey = LayerSurvey(layer)
        #expect(survey.components.compactMap(\.purl).sorted() == ["pkg:npm/%40s/tool@3.0.0", "pkg:pypi/demo@1"])
        #expect(survey.isWhole && !survey.isLocked)

        var limits = LayerSurvey.Limits()
        limits.document = 8
        #expect(LayerSurvey(layer, limits: limits).components.isEmpty && !LayerSurvey(layer, limits: limits).isWhole)
        limits = LayerSurvey.Limits()
        limits.depth = 2
        #expect(!LayerSurvey(layer, limits: limits).isWhole)
        limits = LayerSurvey.Limits()
        limits.entries = 3
        #expect(!LayerSurvey(layer, limits: limits).isWhole)
        #expect(!LayerSurvey(scratch.path + "/nowhere").isWhole)
        limits = LayerSurvey.Limits()
        limits.components = 1
        let cut = LayerSurvey(layer, limits: limits)
        #expect(cut.components.count == 1 && !cut.isWhole)
        // A list of a million packages is read no further than it is told.
        try scratch.file("many/var/lib/dpkg/status", (0..<5_000).map { "Package: p\($0)\nVersion: 1\n\n" }.joined())
        limits.components = 100
        let many = LayerSurvey(scratch.path + "/many", limits: limits)
        #expect(many.components.count == 100 && !many.isWhole)
    }

    /// A base system of before its list of packages was kept.
    @Test func aRootWithoutAListTellsNamesByTheirCopyrights() throws {
        let scratch = ImagesScratch()
        try scratch.file("layer/usr/share/doc/libc6/copyright", "x")
        try scratch.file("layer/usr/share/doc/libc6/examples/copyright", "x")
        try scratch.file("layer/usr/share/doc/no name/copyright", "x")
        #expect(LayerSurvey(scratch.path + "/layer").components.map(\.purl) == ["pkg:deb/debian/libc6"])
        try scratch.file("layer/var/lib/dpkg/status", "Package: libc6\nVersion: 2.36-9\n")
        #expect(LayerSurvey(scratch.path + "/layer").components.map(\.purl) == ["pkg:deb/debian/libc6@2.36-9"])
    }

    /// Of an image of every kind of part, in a store of its own.
    private func bill(_ scratch: ImagesScratch, _ state: String) async throws -> (bytes: [UInt8], digest: String) {
        let store = try ImageStore(directory: scratch.path + "/\(state)/images")
        let building = try store.makeBuilding()
        let (base, own) = (building + "/base", building + "/own")
        for (path, text) in [
            (base + "/var/lib/dpkg/status", "Package: python3\nVersion: 3.11.2-1+b1\nArchitecture: amd64\n\nPackage: git\nVersion: 1:2.39\nArchitecture: amd64\n"),
            (base + "/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n"), (base + "/usr/bin/python3", "program"),
            (own + "/opt/mcp/requirements.lock", "demo==1.0 \\\n --hash=sha256:\(String(repeating: "0a", count: 32)) \\\n --hash=sha256:\(String(repeating: "0b", count: 32))\n"),
            (own + "/opt/mcp/demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\nLicense-Expression: MIT\n"),
            (own + "/opt/mcp/vendored-0.1.dist-info/METADATA", "Name: vendored\nVersion: 0.1\nLicense: Some Licence\nClassifier: License :: X\n"),
            (own + "/opt/npm/package-lock.json", #"{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0"}}}"#),
        ] {
            try Files.makeDirectories(Disk.parent(path), mode: 0o755)
            try Files.write(path, Array(text.utf8), mode: 0o644)
        }
        let layers = [try store.publishLayer(base), try store.publishLayer(own)]
        let digest = try store.publishImage(layers: layers, command: ["/usr/bin/python3", "-c", "pass"], directory: "/tmp", environment: [:])
        var built = BuiltImage(image: digest, command: [], directory: "/tmp", environment: [:], packages: ["ghcr.example/x/tool@sha256:" + String(repeating: "c", count: 64)])
        built.bytes = 1
        try ImageFacts.keep(built, of: ImageSource(oci: "ghcr.example/x/tool:1"), in: store.directory)
        let stored = try #require(await store.image(digest))
        return (try ImageBill.of(stored, facts: ImageFacts.read(String(digest.dropFirst(7)), in: store.directory), in: store.directory), digest)
    }

    @Test func theSameImageGivesTheSameBytes() async throws {
        let scratch = ImagesScratch()
        let (one, two) = (try await bill(scratch, "one"), try await bill(scratch, "two"))
        #expect(one.bytes == two.bytes && one.digest == two.digest)
        let bill = try #require(try JSONSerialization.jsonObject(with: Data(one.bytes)) as? [String: Any])
        let components = try #require(bill["components"] as? [[String: Any]])
        let refs = components.compactMap { $0["bom-ref"] as? String }
        #expect(
            refs == [
                "file:/usr/bin/python3", "origin:ghcr.example/x/tool@sha256:" + String(repeating: "c", count: 64),
                "pkg:deb/debian/git@1:2.39?arch=amd64&distro=debian-bookworm",
                "pkg:deb/debian/python3@3.11.2-1%2Bb1?arch=amd64&distro=debian-bookworm", "pkg:npm/a@1.0.0", "pkg:pypi/demo@1.0", "pkg:pypi/vendored@0.1",
            ])
        let serial = try #require(bill["serialNumber"] as? String)
        #expect(serial.hasPrefix("urn:uuid:" + one.digest.dropFirst(7).prefix(8)) && serial.utf8.count == 45)
        #expect((bill["compositions"] as? [[String: Any]])?.first?["aggregate"] as? String == "unknown")
    }

    /// By the standard's own schema, in strict mode, and its names of packages by their own rules.
    @Test(.enabled(if: access(Repository.root + "/.venv-cyclonedx/bin/python", X_OK) == 0, "scripts/environments clients installs the validator"))
    func itIsWhatTheStandardSays() async throws {
        let scratch = ImagesScratch()
        let bytes = try await bill(scratch, "one").bytes
        try scratch.file("bill.json", String(decoding: bytes, as: UTF8.self))
        try scratch.file("bad.json", String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "urn:uuid:", with: "uuid:"))
        let check = """
            import sys
            from cyclonedx.schema import SchemaVersion
            from cyclonedx.validation.json import JsonStrictValidator
            error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
            if error: sys.exit(str(error))
            import json
            from packageurl import PackageURL
            for part in json.load(open(sys.argv[1]))["components"]:
                purl = part.get("purl")
                if purl and PackageURL.from_string(purl).to_string() != purl: sys.exit(purl + " is not canonical")
            """
        let python = Repository.root + "/.venv-cyclonedx/bin/python"
        let result = try await imagesRun([python, "-c", check, scratch.path + "/bill.json"])
        #expect(result.isSuccess, "\(result.text)")
        #expect(try await !imagesRun([python, "-c", check, scratch.path + "/bad.json"]).isSuccess)
    }
}
