// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// One set of settings for every target of ours; dependencies keep their own.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Nothing of the host's is linked: the file runs where there is no Swift, no other libc and no root file system.
let staticExecutable: [LinkerSetting] = [.unsafeFlags(["-static-executable"])]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioLocks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// `BERTH_TESTS=DoorTests,WireTests` builds only those test targets: a short loop while one module is being written.
let wantedTests = ProcessInfo.processInfo.environment["BERTH_TESTS"].map { Set($0.split(separator: ",").map(String.init)) }

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> [Target] {
    if let wantedTests, !wantedTests.contains(name) { return [] }
    return [.testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: settings)]
}

let targets: [[Target]] = [
    [
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CLinux"),
        library("Sealing", ["COpenSSL"]),
        library("JSONText", []),
        library("Wire", ["CLinux", nioCore, nioPosix, nioHTTP1]),
        library("MCP", ["JSONText", nioCore]),
        library("Door", ["JSONText", "Sealing"]),
        library("StdioBridge", ["MCP", "JSONText", "CLinux", nioCore, nioPosix]),
        // A server behind a URL, of either era: the protocol's client.
        library("RemoteClient", ["MCP", "Wire", "JSONText", nioCore]),
        // The bridge on a developer's machine: its listener, its files, its trace, the way back, and a terminal's connection.
        library("Standalone", ["StdioBridge", "RemoteClient", "MCP", "Wire", "JSONText", "CLinux", nioCore, nioPosix, nioHTTP1]),
        // TLS towards servers elsewhere, passed into Wire's pool by a seam: BoringSSL must not reach the machine agent.
        library("RemoteTLS", ["Wire", nioCore, nioSSL]),
        // What `berth test` finds out about a server, and how it is told.
        library("ServerCheck", ["Standalone", "StdioBridge", "MCP", "Wire", "JSONText", nioCore]),
        library("MachineAgent", ["StdioBridge", "RemoteClient", "MCP", "Wire", "Door", "JSONText", "Sealing", "CLinux", nioCore, nioPosix]),
        // What both control surfaces share: Hummingbird's router behind Wire's server.
        library("ControlSurface", ["Wire", nioCore, hummingbird, httpTypes]),
        library("MachineAPI", ["Wire", nioCore, nioPosix]),
        library("Persistence", ["Sealing", grdb]),
        library("Orchestrator", ["ControlSurface", "MachineAPI", "Door", "Wire", "Persistence", "Sealing", "JSONText", "CLinux", nioCore, nioPosix, nioHTTP1, nioLocks, logging, hummingbird, httpTypes, grdb]),
        library("Gateway", ["ControlSurface", "MCP", "Door", "Wire", "MachineAPI", "Persistence", "Sealing", "JSONText", nioCore, nioLocks, nioPosix, nioHTTP1, logging, hummingbird, httpTypes, grdb]),
        // What the configuration of an AI client says, as connectors: pure.
        library("ConfigImport", ["JSONText"]),
        // What needs no Berth on the host, and how every command speaks to people.
        library("AuthorCommands", ["Standalone", "RemoteClient", "StdioBridge", "ServerCheck", "RemoteTLS", "MCP", "Wire", "JSONText", nioCore, arguments]),
        .executableTarget(
            name: "berth",
            dependencies: ["AuthorCommands", "ConfigImport", "Gateway", "Orchestrator", "ServerCheck", "StdioBridge", "MCP", "MachineAPI", "Persistence", "Wire", "CLinux", "Sealing", "JSONText", nioCore, nioPosix, logging, arguments],
            swiftSettings: settings),
        .executableTarget(
            name: "berth-agent",
            dependencies: ["MachineAgent"],
            swiftSettings: settings,
            linkerSettings: staticExecutable),
        .executableTarget(
            name: "berth-bridge",
            dependencies: ["AuthorCommands", "MCP", arguments],
            swiftSettings: settings,
            // A debug build does not name by itself what ArgumentParser's FoundationEssentials stands on.
            linkerSettings: staticExecutable + [.linkedLibrary("_FoundationCollections"), .linkedLibrary("_FoundationCShims")]),
        // The reference parser that JSONTextTests and scripts/fuzz hold the scanner against.
        .target(name: "JSONReference", dependencies: ["JSONText"], path: "Tests/JSONReference", swiftSettings: settings),
        .target(name: "TestSupport", dependencies: ["CLinux", nioCore, nioPosix], path: "Tests/TestSupport", swiftSettings: settings),
    ],
    tests("SealingTests", ["Sealing"]),
    tests("JSONTextTests", ["JSONText", "JSONReference"]),
    tests("ConfigImportTests", ["ConfigImport", "JSONText"]),
    tests("WireTests", ["Wire", nioCore, nioPosix, nioHTTP1, nioEmbedded]),
    tests("MCPTests", ["MCP", "JSONText", nioCore, nioEmbedded]),
    tests("DoorTests", ["Door", "Sealing", "JSONText"]),
    tests("StdioBridgeTests", ["StdioBridge", "MCP", "Wire", "JSONText", "CLinux", nioCore, nioPosix]),
    tests("RemoteClientTests", ["RemoteClient", "MCP", "Wire", "JSONText", nioCore, nioPosix]),
    tests("StandaloneTests", ["Standalone", "RemoteClient", "StdioBridge", "MCP", "Wire", "JSONText", nioCore, nioPosix, nioEmbedded]),
    tests("ServerCheckTests", ["ServerCheck", "Standalone", "StdioBridge", "JSONText"]),
    tests("AuthorCommandsTests", ["AuthorCommands", "Standalone", "StdioBridge", "JSONText", arguments]),
    tests("MachineAgentTests", ["MachineAgent", "StdioBridge", "Door", "Wire", "Sealing", "CLinux", nioCore, nioPosix]),
    tests("ControlSurfaceTests", ["ControlSurface", "Wire", nioCore, nioPosix, hummingbird]),
    tests("MachineAPITests", ["MachineAPI", "Wire", nioCore, nioPosix]),
    tests("PersistenceTests", ["Persistence", "Sealing", grdb]),
    tests("OrchestratorTests", ["Orchestrator", "MachineAPI", "Door", "Wire", "Persistence", "Sealing", "CLinux", nioCore, nioPosix, logging, grdb]),
    tests("GatewayTests", ["Gateway", "ControlSurface", "MCP", "Door", "Wire", "MachineAPI", "Persistence", "Sealing", "JSONText", nioCore, nioPosix, nioEmbedded, logging, grdb]),
    tests("EndToEnd", ["CLinux", "JSONText", "Wire", "MCP", "RemoteClient", "MachineAPI", "Door", "Sealing", nioCore, nioPosix]),
]

let package = Package(
    name: "berth",
    products: [
        .executable(name: "berth", targets: ["berth"]),
        .executable(name: "berth-agent", targets: ["berth-agent"]),
        .executable(name: "berth-bridge", targets: ["berth-bridge"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // Remote servers are reached by https, and there is no other TLS for NIO. Only RemoteTLS links it; it compiles BoringSSL.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: targets.flatMap { $0 })
