import Door
import Testing

@testable import MachineAgent

@Suite struct NameServiceTests {
    static func query(
        _ name: String, type: UInt16 = 1, flags: [UInt8] = [1, 0], counts: [UInt8] = [0, 1, 0, 0, 0, 0, 0, 0], qclass: UInt8 = 1, more: [UInt8] = []
    ) -> [UInt8] {
        let labels = name.split(separator: ".", omittingEmptySubsequences: true).flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        return [0xAB, 0xCD] + flags + counts + labels + [0, UInt8(type >> 8), UInt8(type & 0xFF), 0, qclass] + more
    }

    private func service() throws -> NameService { NameService(list: try EgressList(["api.example.com", "*.example.org:8443"])) }

    private func address(_ answer: [UInt8]?) -> [UInt8]? { answer.flatMap { $0[7] == 1 ? Array($0.suffix(4)) : nil } }

    @Test func anAllowedNameHasOneAddressForTheBoot() throws {
        var service = try service()
        let question = Self.query("Api.Example.com")
        let (answer, told) = service.answer(question)
        let bytes = try #require(answer)
        #expect(told == nil)
        #expect(bytes.prefix(4) == [0xAB, 0xCD, 0x85, 0x80] && bytes[5] == 1 && bytes[7] == 1, "\(bytes)")
        #expect(Array(bytes[12..<question.count]) == Array(question[12...]), "the question comes back in its own case")
        #expect(address(bytes) == [198, 18, 0, 1])
        #expect(address(service.answer(Self.query("a.example.org")).answer) == [198, 18, 0, 2])
        #expect(address(service.answer(Self.query("api.example.com")).answer) == [198, 18, 0, 1])
        #expect(service.table.name(at: 198 << 24 | 18 << 16 | 1) == "api.example.com")
        #expect(service.table.name(at: 198 << 24 | 18 << 16 | 3) == nil && service.table.name(at: 198 << 24 | 18 << 16) == nil)
    }

    @Test func otherRecordsOfAnAllowedNameAreEmpty() throws {
        var service = try service()
        for type: UInt16 in [28, 15, 16, 65, 255] {
            let (answer, told) = service.answer(Self.query("api.example.com", type: type))
            #expect(answer?[3] == 0x80 && answer?[7] == 0 && told == nil, "\(type)")
        }
    }

    @Test func everyOtherNameDoesNotExistAndIsTold() throws {
        var service = try service()
        for name in ["evil.example", "example.com", "example.org", "x.api.example.com"] {
            let (answer, told) = service.answer(Self.query(name))
            #expect(answer?[3] == 0x83 && answer?[7] == 0 && told == .refused(name), "\(name)")
            // Of the pair of questions that a look-up asks, one counts.
            #expect(service.answer(Self.query(name, type: 28)).told == nil)
        }
        // Not a host's name at all, reverse look-ups, another class: nothing that could be put on a list.
        let reverse = Self.query("1.0.18.198.in-addr.arpa", type: 12)
        for question in [Self.query("a b.example"), reverse, Self.query(""), Self.query("evil.example", qclass: 3)] {
            #expect(service.answer(question).told == nil && service.answer(question).answer?[7] == 0)
        }
        #expect(service.answer(Self.query("api.example.com", qclass: 3)).answer?[3] == 0x85)
    }

    @Test func aSuffixCannotTakeMoreAddressesThanThereAre() throws {
        var service = try service()
        for number in 1...NameTable.capacity { #expect(address(service.answer(Self.query("h\(number).example.org")).answer) != nil) }
        let (answer, told) = service.answer(Self.query("one-more.example.org"))
        #expect(answer?[3] == 0x82 && answer?[7] == 0 && told == .full("one-more.example.org"))
        #expect(address(service.answer(Self.query("h1.example.org")).answer) == [198, 18, 0, 1], "what has an address keeps it")
    }

    @Test func whatIsNoQuestionGetsAnErrorOrNothing() throws {
        var service = try service()
        func outcome(_ message: [UInt8]) -> UInt8? { service.answer(message).answer.map { $0[3] & 0x0F } }
        #expect(service.answer([]).answer == nil && service.answer([0, 1, 1]).answer == nil)
        #expect(service.answer(Self.query("api.example.com", flags: [0x81, 0])).answer == nil, "an answer gets none")
        #expect(outcome(Self.query("api.example.com", flags: [0x10, 0])) == 4, "another kind of request")
        #expect(outcome(Self.query("api.example.com", counts: [0, 2, 0, 0, 0, 0, 0, 0])) == 1)
        #expect(outcome(Self.query("api.example.com", counts: [0, 0, 0, 0, 0, 0, 0, 0])) == 1)
        #expect(outcome(Self.query("api.example.com", counts: [0, 1, 0, 1, 0, 0, 0, 0])) == 1)
        #expect(outcome([UInt8](Self.query("api.example.com").dropLast())) == 1)
        let head: [UInt8] = [0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        #expect(outcome(head + [0xC0, 12, 0, 1, 0, 1]) == 1, "a pointer")
        #expect(outcome(head + [63] + [UInt8](repeating: 97, count: 10)) == 1, "a label that is not whole")
        let long = head + (0..<5).flatMap { _ in [63] + [UInt8](repeating: 97, count: 63) } + [0, 0, 1, 0, 1]
        #expect(outcome(long) == 1, "a name over 255 bytes")
        #expect(outcome(head + [UInt8](repeating: 0, count: 1_100)) == 1)
        // EDNS is allowed and not answered.
        let extended = Self.query("api.example.com", counts: [0, 1, 0, 0, 0, 0, 0, 1], more: [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])
        #expect(outcome(extended) == 0 && service.answer(extended).answer?[11] == 0)
    }
}
