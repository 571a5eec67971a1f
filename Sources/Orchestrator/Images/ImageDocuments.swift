import Foundation
import Glibc
import MachineAPI
import Sealing

/// The manifest of an OCI image (image-spec v1.1), as far as Berth writes and reads it.
struct ImageManifest: Codable, Sendable, Equatable {
    struct Descriptor: Codable, Sendable, Equatable {
        var mediaType: String
        var digest: String
        var size: Int
    }

    static let mediaType = "application/vnd.oci.image.manifest.v1+json"
    static let configMediaType = "application/vnd.oci.image.config.v1+json"
    /// Uncompressed: a layer's digest is its diff id, and an unpacked layer can be archived again to check it.
    static let layerMediaType = "application/vnd.oci.image.layer.v1.tar"

    var schemaVersion = 2
    var mediaType = Self.mediaType
    var config: Descriptor
    var layers: [Descriptor]
}

/// The configuration of an OCI image.
struct ImageConfig: Codable, Sendable, Equatable {
    struct Process: Codable, Sendable, Equatable {
        var Entrypoint: [String]
        var Env: [String]
        var WorkingDir: String
        var User: String
    }

    struct RootFS: Codable, Sendable, Equatable {
        var type = "layers"
        var diff_ids: [String]
    }

    var architecture = Self.hostArchitecture
    var os = "linux"
    var config: Process
    var rootfs: RootFS

    /// This host's architecture in OCI's words.
    static var hostArchitecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }

    /// `Env` as a dictionary.
    var environment: [String: String] {
        var environment: [String: String] = [:]
        for line in config.Env {
            guard let equals = line.firstIndex(of: "=") else { continue }
            environment[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return environment
    }
}

/// JSON whose bytes depend on the values alone: digests are made of it.
enum CanonicalJSON {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) -> T? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }

    static func digest(_ value: some Encodable) throws -> String { Hex.encode(try SHA256.digest(try encode(value))) }
}
