import MachineAPI
import Testing

@testable import Gateway

/// Sources of every kind, in place of each other and kept.
@Suite struct SourceChangeTests {
    private static let each: [ImageSource] = [
        ImageSource(pypi: "a", command: ["x"], arguments: ["1"]), ImageSource(upload: "sha256:1", folder: "f", command: ["python3", "s.py"]),
        ImageSource(binary: "sha256:2"), ImageSource(layout: "sha256:3", tag: "t"), ImageSource(npm: "n"), ImageSource(oci: "r.example/n"),
    ]

    @Test func anotherKindTakesThePlaceOfTheOld() throws {
        for old in Self.each {
            for new in Self.each {
                let definition = try ConnectorRules.check(ConnectorRequest(name: "x", source: new), changing: ConnectorDefinition(source: old))
                #expect(definition.source.kinds == new.kinds, "\(old) \(new)")
                // Command and arguments of another kind mean nothing here.
                if old.kind != new.kind { #expect(definition.source.command == new.command && definition.source.arguments == new.arguments) }
            }
            let kept = try ConnectorRules.check(ConnectorRequest(name: "x", memory_mb: 128), changing: ConnectorDefinition(source: old))
            #expect(kept.source == old)
            #expect(ConnectorRequest(name: "x", args: ["y"]).keepsImage && !ConnectorRequest(name: "x", source: old).keepsImage)
        }
    }

    private func image(_ command: [String], defaults: BuiltImage.Defaults? = nil) -> BuiltImage {
        var image = BuiltImage(image: "sha256:0", command: command, directory: "/srv/server", environment: [:], packages: [])
        image.defaults = defaults
        return image
    }

    @Test func anImagesOwnArgumentsGiveWayAndComeBack() {
        let defaults = BuiltImage.Defaults(command: ["/app/run"], arguments: ["serve"])
        let plain = ImageSource(layout: "sha256:0")
        var given = plain
        given.arguments = ["stdio"]
        #expect(image(["/app/run", "serve"], defaults: defaults).started(by: given, insteadOf: plain)?.command == ["/app/run", "stdio"])
        #expect(image(["/app/run", "stdio"], defaults: defaults).started(by: plain, insteadOf: given)?.command == ["/app/run", "serve"])
        // A command in place of the image's own is looked up in it.
        var command = given
        command.command = ["/bin/other", "a"]
        #expect(image(["/app/run", "stdio"], defaults: defaults).started(by: command, insteadOf: given) == nil)
        #expect(image(["/bin/other", "a", "stdio"], defaults: defaults).started(by: given, insteadOf: command)?.command == ["/app/run", "stdio"])
    }

    @Test func aLoneProgramIsFoundByItsName() {
        var old = ImageSource(binary: "sha256:0")
        var new = old
        new.command = ["tiny", "-v"]
        #expect(image(["/srv/server/tiny"]).started(by: new, insteadOf: old)?.command == ["/srv/server/tiny", "-v"])
        old.command = ["tiny", "-v"]
        old.arguments = ["a"]
        new.command = ["./tiny"]
        #expect(image(["/srv/server/tiny", "-v", "a"]).started(by: new, insteadOf: old)?.command == ["/srv/server/tiny"])
        new.command = ["other"]
        #expect(image(["/srv/server/tiny", "-v", "a"]).started(by: new, insteadOf: old) == nil)
    }
}
