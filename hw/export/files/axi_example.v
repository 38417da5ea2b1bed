// Penstock's core with its memory: three ports read it, one writes it, and the registers are the
// AXI4-Lite port of this module.
`timescale 1ns / 1ps
`default_nettype none

module axi_example #(
    parameter WORDS = 1024,
    parameter INIT = ""
) (
    input  wire        clk,
    input  wire        rst,     // synchronous, active high
    output wire        irq,
    input  wire [13:0] s_axil_awaddr,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [3:0]  s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output wire [1:0]  s_axil_bresp,
    output wire        s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [13:0] s_axil_araddr,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output wire [31:0] s_axil_rdata,
    output wire [1:0]  s_axil_rresp,
    output wire        s_axil_rvalid,
    input  wire        s_axil_rready
);
  // Readers: descriptors, weights, activations.
  wire [95:0]  araddr;
  wire [23:0]  arlen;
  wire [2:0]   arvalid, arready, rlast, rvalid, rready;
  wire [191:0] rdata;
  wire [5:0]   rresp;
  wire [31:0]  awaddr;
  wire [7:0]   awlen, wstrb;
  wire [63:0]  wdata;
  wire [1:0]   bresp;
  wire         awvalid, awready, wlast, wvalid, wready, bvalid, bready;

  penstock core (
      .clk(clk), .rst(rst), .irq(irq), .busy(), .error(),
      .csr__awaddr(s_axil_awaddr), .csr__awvalid(s_axil_awvalid), .csr__awready(s_axil_awready),
      .csr__wdata(s_axil_wdata), .csr__wstrb(s_axil_wstrb),
      .csr__wvalid(s_axil_wvalid), .csr__wready(s_axil_wready),
      .csr__bresp(s_axil_bresp), .csr__bvalid(s_axil_bvalid), .csr__bready(s_axil_bready),
      .csr__araddr(s_axil_araddr), .csr__arvalid(s_axil_arvalid), .csr__arready(s_axil_arready),
      .csr__rdata(s_axil_rdata), .csr__rresp(s_axil_rresp),
      .csr__rvalid(s_axil_rvalid), .csr__rready(s_axil_rready),
      // Always INCR bursts of whole beats and the ID 0: nothing to decode.
      .m_desc__arid(), .m_desc__arsize(), .m_desc__arburst(), .m_desc__rid(1'b0),
      .m_desc__araddr(araddr[31:0]), .m_desc__arlen(arlen[7:0]),
      .m_desc__arvalid(arvalid[0]), .m_desc__arready(arready[0]),
      .m_desc__rdata(rdata[63:0]), .m_desc__rresp(rresp[1:0]), .m_desc__rlast(rlast[0]),
      .m_desc__rvalid(rvalid[0]), .m_desc__rready(rready[0]),
      .m_wgt__arid(), .m_wgt__arsize(), .m_wgt__arburst(), .m_wgt__rid(1'b0),
      .m_wgt__araddr(araddr[63:32]), .m_wgt__arlen(arlen[15:8]),
      .m_wgt__arvalid(arvalid[1]), .m_wgt__arready(arready[1]),
      .m_wgt__rdata(rdata[127:64]), .m_wgt__rresp(rresp[3:2]), .m_wgt__rlast(rlast[1]),
      .m_wgt__rvalid(rvalid[1]), .m_wgt__rready(rready[1]),
      .m_act__arid(), .m_act__arsize(), .m_act__arburst(), .m_act__rid(1'b0),
      .m_act__araddr(araddr[95:64]), .m_act__arlen(arlen[23:16]),
      .m_act__arvalid(arvalid[2]), .m_act__arready(arready[2]),
      .m_act__rdata(rdata[191:128]), .m_act__rresp(rresp[5:4]), .m_act__rlast(rlast[2]),
      .m_act__rvalid(rvalid[2]), .m_act__rready(rready[2]),
      .m_out__awid(), .m_out__awsize(), .m_out__awburst(), .m_out__bid(1'b0),
      .m_out__awaddr(awaddr), .m_out__awlen(awlen),
      .m_out__awvalid(awvalid), .m_out__awready(awready),
      .m_out__wdata(wdata), .m_out__wstrb(wstrb), .m_out__wlast(wlast),
      .m_out__wvalid(wvalid), .m_out__wready(wready),
      .m_out__bresp(bresp), .m_out__bvalid(bvalid), .m_out__bready(bready)
  );

  axi_memory #(.WORDS(WORDS), .INIT(INIT)) memory (
      .clk(clk), .rst(rst),
      .araddr(araddr), .arlen(arlen), .arvalid(arvalid), .arready(arready),
      .rdata(rdata), .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready),
      .awaddr(awaddr), .awlen(awlen), .awvalid(awvalid), .awready(awready),
      .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid), .wready(wready),
      .bresp(bresp), .bvalid(bvalid), .bready(bready)
  );
endmodule

`default_nettype wire
